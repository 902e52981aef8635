"""What media cost in tokens before they are sent, by the rules that providers publish. What no rule tells is unknown, never 0.

Read in 2026-11: OpenAI, developers.openai.com/api/docs/guides/images-vision ("Calculating costs") and /realtime-costs (tokens per second
of sound); Anthropic, platform.claude.com/docs/en/build-with-claude/vision ("Resolution and token cost"). Providers bill what they count
themselves; a rule of the day is an estimate.
"""

from math import ceil, floor, sqrt
from typing import Protocol

import msgspec

from freehold.context.headers import image_size, seconds_of
from freehold.context.media import Audio, Image
from freehold.context.video import AnyMedia, Sampling, Video


class ImageRule(Protocol):
    """How a model counts an image."""

    def tokens(self, width: int, height: int, detail: str) -> int | None:
        """The tokens of an image of so many pixels, looked at as closely as that; None where the rule does not say."""


class Tiles(msgspec.Struct, frozen=True):
    """OpenAI's tiles: the image is fitted into 2048 pixels, its shorter side brought down to 768, and each square of 512 counts.

    The guide speaks of scaling to 768; a smaller image is taken not to be scaled up.
    """

    base: int = 85
    """Tokens of every image: 85 of GPT-4o and GPT-4.1, 70 of gpt-5, 75 of o1 and o3, 2833 of GPT-4o-mini."""
    tile: int = 170
    """Tokens of each square: 170, 140, 150 and 5667."""

    def tokens(self, width: int, height: int, detail: str) -> int | None:
        """As of `ImageRule`."""
        if detail == "low":
            return self.base
        if detail == "original":
            return None
        scale = min(1.0, 2048 / max(width, height))
        scale = min(scale, 768 / min(width, height))
        return self.base + self.tile * ceil(round(width * scale, 6) / 512) * ceil(round(height * scale, 6) / 512)


class Patches(msgspec.Struct, frozen=True):
    """OpenAI's patches: squares of 32 pixels, at most so many, times a factor of the model."""

    most: int = 1_536
    """The most patches: 1,536 of the smaller models, 2,500 of gpt-5.4 and later."""
    longest: int = 2_048
    """The most pixels of a side."""
    factor: float = 1.0
    """Tokens of a patch: 1.62 of gpt-5-mini, 2.46 of gpt-5-nano, 1.72 of o4-mini."""

    def tokens(self, width: int, height: int, detail: str) -> int | None:
        """As of `ImageRule`."""
        if detail in ("low", "original"):
            return None
        scale = min(1.0, self.longest / max(width, height))
        across, down = width * scale, height * scale
        if ceil(across / 32) * ceil(down / 32) > self.most:
            shrink = sqrt(32**2 * self.most / (across * down))
            wide, high = across * shrink / 32, down * shrink / 32
            shrink *= min(floor(wide) / wide or 1.0, floor(high) / high or 1.0)
            across, down = floor(round(across * shrink, 6)), floor(round(down * shrink, 6))
        return ceil(round(self.factor * min(self.most, ceil(across / 32) * ceil(down / 32)), 6))


class VisualTokens(msgspec.Struct, frozen=True):
    """Anthropic's visual tokens: squares of 28 pixels of the largest size that keeps the shape, the longest side and the most tokens.

    It takes the place of the rule width x height / 750, which counts nearly the same.
    """

    most: int = 1_568
    """The most tokens of an image: 1,568, or 4,784 of Claude 4.7 and later."""
    longest: int = 1_568
    """The most pixels of a side: 1,568, or 2,576."""

    def tokens(self, width: int, height: int, detail: str) -> int | None:
        """As of `ImageRule`; Anthropic knows no detail."""
        fits, beyond = 1, min(max(width, height), self.longest) + 1
        while fits + 1 < beyond:
            middle = (fits + beyond) // 2
            fits, beyond = (middle, beyond) if self._count(width, height, middle) <= self.most else (fits, middle)
        return self._count(width, height, fits)

    def _count(self, width: int, height: int, longest: int) -> int:
        scale = longest / max(width, height)
        return ceil(max(1, round(width * scale)) / 28) * ceil(max(1, round(height * scale)) / 28)


class MediaRules(msgspec.Struct, frozen=True):
    """How a model counts media."""

    image: ImageRule | None = None
    """Images; None where nobody says."""
    audio_per_s: float | None = None
    """Tokens of a second of sound; None where nobody says."""


OPENAI_TILES = MediaRules(Tiles(), 10.0)
"""GPT-4o and GPT-4.1; a token of every 100 ms of sound."""
OPENAI_PATCHES = MediaRules(Patches(), 10.0)
"""OpenAI's smaller models, but for their factor."""
ANTHROPIC = MediaRules(VisualTokens())
"""Claude before 4.7."""
ANTHROPIC_HIGH = MediaRules(VisualTokens(4_784, 2_576))
"""Claude 4.7 and later."""


def tokens_estimate(value: AnyMedia, rules: MediaRules, sampling: Sampling | None = None, *, takes_audio: bool = True) -> int | None:
    """About how many input tokens a value is; of a film, what `Video.parts` gives of its frames and sound without the words between.

    None where that is unknown: a document, a whole film, a size or length that the header does not tell, a kind no rule speaks of.
    """
    if isinstance(value, Video):
        if not value.frames:
            return None
        counts = [tokens_estimate(frame.image, rules) for frame in value.sampled(sampling)]
        if value.sound is not None and takes_audio:
            counts.append(tokens_estimate(value.sound, rules))
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None
    if value.content is None:
        return None
    if isinstance(value, Image) and rules.image is not None:
        size = image_size(value.content)
        return None if size is None else rules.image.tokens(*size, value.detail)
    if isinstance(value, Audio) and rules.audio_per_s is not None:
        seconds = seconds_of(value.content)
        return None if seconds is None else ceil(seconds * rules.audio_per_s)
    return None
