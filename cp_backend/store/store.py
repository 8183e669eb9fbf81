"""The node's way to the database: every subject, and the two committers that carry them."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from charging.command import CommandKind
from cp_backend.committer import Committer
from cp_backend.settings import Settings
from cp_backend.store.admission import Admission, boot
from cp_backend.store.authorizations import Authorizations
from cp_backend.store.certificates import Certificates
from cp_backend.store.commands import Commands, answer_commands
from cp_backend.store.data_transfers import DataTransfers
from cp_backend.store.files import Files
from cp_backend.store.hub_questions import HubQuestions
from cp_backend.store.notices import Notices
from cp_backend.store.presence import Presence, write_heartbeats
from cp_backend.store.presumed_ends import PresumedEnds
from cp_backend.store.readings import Readings
from cp_backend.store.sample_forms import SampleForms
from cp_backend.store.sessions import Sessions
from cp_backend.store.station_sessions import StationSessions
from cp_backend.store.statuses import Statuses
from cp_backend.telemetry import Metrics


class Store:
    """One committer for look-ups and one for facts, and the subjects that submit to them.

    Two, so that a storm of reconnecting charging points does not stand in the way of billing
    facts, nor the other way round. A subject's methods return at once; the callback gets the
    result after the commit, or an exception. kinds: commands that this node can carry out.
    """

    def __init__(
        self,
        url: str,
        node_id: UUID,
        settings: Settings,
        metrics: Metrics,
        kinds: Sequence[CommandKind],
    ) -> None:
        self.lookups = lookups = self._committer("lookups", url, settings, metrics)
        self.facts = facts = self._committer("facts", url, settings, metrics)
        self.presence = Presence(lookups, facts, node_id)
        self.admission = Admission(lookups, facts, admit_unknown=settings.admit_unknown)
        self.statuses = Statuses(facts)
        tokens = settings.admit_unknown_tokens
        self.authorizations = Authorizations(lookups, admit_unknown=tokens)
        self.hub_questions = HubQuestions(lookups)
        self.sample_forms = SampleForms(lookups)
        self.readings = readings = Readings(facts, self.sample_forms)
        self.sessions = Sessions(lookups, facts, readings, admit_unknown=tokens)
        self.station_sessions = StationSessions(
            facts, self.sessions, readings, admit_unknown=tokens
        )
        self.presumed_ends = PresumedEnds(
            lookups,
            facts,
            quiet_seconds=settings.lost_stop_quiet,
            hold_seconds=settings.presumed_end_hold,
            look_seconds=settings.lost_stop_interval,
        )
        self.notices = Notices(facts)
        self.certificates = Certificates(facts, settings.authority())
        self.files = Files(lookups, facts)
        self.data_transfers = DataTransfers(facts)
        self.commands = Commands(lookups, facts, node_id, kinds)
        # A connection's beginning before its end; a boot before what follows it.
        facts.run_in_order(
            write_heartbeats,
            self.presence.open_connections,
            boot,
            self.sessions.start_sessions,
            self.station_sessions.report_sessions,
            self.readings.keep_rows,
            self.sessions.end_sessions,
            answer_commands,
        )

    @staticmethod
    def _committer(name: str, url: str, settings: Settings, metrics: Metrics) -> Committer:
        return Committer(
            name,
            url,
            batch_limit=settings.batch_limit,
            max_depth=settings.max_lane_depth,
            metrics=metrics,
        )

    @property
    def depth(self) -> int:
        """How much waits for the database."""
        return self.lookups.depth + self.facts.depth

    @property
    def healthy(self) -> bool:
        """Whether both look-ups and facts are served."""
        return self.lookups.healthy and self.facts.healthy
