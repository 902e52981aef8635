"""The tables of `freehold.toml` as frozen records: each checks itself at birth, and says which key is wrong and what it takes.

One file for each part of the house that is set up; `config.py` reads them all, and everybody takes them from here.
"""

from freehold.tables.feedback import CreditsTable as CreditsTable
from freehold.tables.feedback import FeedbackTable as FeedbackTable
from freehold.tables.gateway import GatewayTable as GatewayTable
from freehold.tables.gateway import LimitsTable as LimitsTable
from freehold.tables.gateway import MatchRow as MatchRow
from freehold.tables.gateway import TeamTable as TeamTable
from freehold.tables.models import EXPERT_WAIT_S as EXPERT_WAIT_S
from freehold.tables.models import MOST_DEADLINE_S as MOST_DEADLINE_S
from freehold.tables.models import ModelTable as ModelTable
from freehold.tables.models import ProviderKind as ProviderKind
from freehold.tables.models import ProviderTable as ProviderTable
from freehold.tables.models import ServingTable as ServingTable
from freehold.tables.models import VariantTable as VariantTable
from freehold.tables.monitor import CommandTable as CommandTable
from freehold.tables.monitor import EmailTable as EmailTable
from freehold.tables.monitor import MonitorTable as MonitorTable
from freehold.tables.monitor import WatchTable as WatchTable
from freehold.tables.monitor import WebhookTable as WebhookTable
from freehold.tables.project import DataTable as DataTable
from freehold.tables.project import JournalTable as JournalTable
from freehold.tables.project import ProjectTable as ProjectTable
from freehold.tables.project import StoreTable as StoreTable
from freehold.tables.project import TelemetryTable as TelemetryTable
from freehold.tables.tasks import EconomicsTable as EconomicsTable
from freehold.tables.tasks import EvaluationTable as EvaluationTable
from freehold.tables.tasks import JudgeTable as JudgeTable
from freehold.tables.tasks import MetricTable as MetricTable
from freehold.tables.tasks import ScorerTable as ScorerTable
from freehold.tables.tasks import TaskTable as TaskTable
