"""The nouns of one exchange: what is asked of a model, what it answers, whole or in pieces, and what that used.

Read `exchange.py`; `pieces.py` is streams, `words.py` what an input says. Everybody takes them from here.
"""

from freehold.chat.exchange import CallPiece as CallPiece
from freehold.chat.exchange import Cause as Cause
from freehold.chat.exchange import ChatAnswer as ChatAnswer
from freehold.chat.exchange import ChatRequest as ChatRequest
from freehold.chat.exchange import Choice as Choice
from freehold.chat.exchange import Chunk as Chunk
from freehold.chat.exchange import Finish as Finish
from freehold.chat.exchange import Media as Media
from freehold.chat.exchange import Message as Message
from freehold.chat.exchange import Modality as Modality
from freehold.chat.exchange import Outcome as Outcome
from freehold.chat.exchange import OutputShape as OutputShape
from freehold.chat.exchange import Part as Part
from freehold.chat.exchange import Refusal as Refusal
from freehold.chat.exchange import Role as Role
from freehold.chat.exchange import Text as Text
from freehold.chat.exchange import Thinking as Thinking
from freehold.chat.exchange import Tool as Tool
from freehold.chat.exchange import ToolCall as ToolCall
from freehold.chat.exchange import ToolChoice as ToolChoice
from freehold.chat.exchange import ToolResult as ToolResult
from freehold.chat.exchange import Usage as Usage
from freehold.chat.pieces import Collected as Collected
from freehold.chat.pieces import pieces_of as pieces_of
from freehold.chat.value import JSON as JSON
from freehold.chat.value import canonical_json as canonical_json
from freehold.chat.value import is_finite as is_finite
from freehold.chat.words import CHARS_A_TOKEN as CHARS_A_TOKEN
from freehold.chat.words import is_media as is_media
from freehold.chat.words import is_messages as is_messages
from freehold.chat.words import key_of as key_of
from freehold.chat.words import media_in as media_in
from freehold.chat.words import media_json as media_json
from freehold.chat.words import media_part as media_part
from freehold.chat.words import system_text_of as system_text_of
from freehold.chat.words import text_of as text_of
from freehold.chat.words import tools_of as tools_of
from freehold.chat.words import words_of as words_of
