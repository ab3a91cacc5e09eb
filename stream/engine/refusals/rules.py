"""What a refused record leads to: a letter that keeps it whole, or a share in a sum, and an alert when there are many.

Letters and sums are decided for each partition on its own, by the offsets and timestamps of its refused records. So
they are the same in whatever order the partitions are read, and after a crash. A sum is published when a refused record
of its partition shows that the minute is over. Where none comes, the timesteps tell that a minute has passed.

Each refused record is in exactly one letter or one sum. A sum that is still open is in the snapshot; a service that is
stopped publishes it after its next start.
"""

from __future__ import annotations

from schemas.outbound import Alert, AlertKind, DeadLetter, RefusedSummary
from stream.config import Config
from stream.engine.alerts import Condition, Moment, alert_key, update_alert
from stream.engine.dead_letter import dead_letter
from stream.engine.refusals.cause import DETAIL_CHARACTERS_MAX, Causes
from stream.engine.refusals.state import KindOfRefusal, NameCounts, PartitionMinute, RefusalsState, SummedUp
from stream.events.outside_text import bounded
from stream.events.types import LATEST_NS, Refused
from stream.kafka.log import Record

KIND: AlertKind = "records-refused"
MINUTE_MS = 60_000
CLEARED_AFTER_MS = 2 * MINUTE_MS
DAY_MS = 86_400_000

SUM_RECORDS_MAX = 10_000
"""A sum is published at this count at the latest. Else a record from the far future would keep its minute open for
ever."""

RefusalOutput = DeadLetter | RefusedSummary | Alert


class Refusals:
    """The rules of one configuration. Holds nothing that changes between steps."""

    def __init__(self, config: Config) -> None:
        self._settings = config.dead_letters
        self._ticks = f"{config.topics.prefix}ticks"
        self._causes = Causes(config)

    def take(
        self, state: RefusalsState, alerts: set[str], refused: Refused, market_ns: int, timestep: int
    ) -> list[RefusalOutput]:
        """Take one refused record into `state`. `market_ns` is the end of the latest `timestep`; 0 before the first."""
        record, market_ms = refused.record, market_ns // 1_000_000
        outputs: list[RefusalOutput] = list(_ended_before(state, record))
        name = f"{record.topic}/{refused.reason}"
        kind = state.setdefault(name, KindOfRefusal(record.topic, refused.reason))
        kind.detail, kind.unit = bounded(refused.detail, DETAIL_CHARACTERS_MAX), refused.unit
        kind.since_timestep += 1
        minute = _minute_of(kind, record, market_ms)
        minute.refused += 1
        minute.in_part += refused.in_part
        minute.names.add(refused.names)
        if record.topic != self._ticks or minute.kept < self._settings.per_minute:
            minute.kept += 1
            outputs.append(dead_letter(refused))
        else:
            outputs += _sum_up(kind, minute, refused)
        moment = Moment(_time_ns(record.timestamp_ms), timestep, record.source)
        condition = self._changed(kind, record, market_ms, alerts)
        alert = update_alert(alerts, condition, moment) if condition else None
        return [*outputs, alert] if alert else outputs

    def at_timestep(self, state: RefusalsState, alerts: set[str], end_ns: int, timestep: int) -> list[RefusalOutput]:
        """What the close of a timestep shows to be over: sums to which nothing was added, alerts of what has ended."""
        now_ms = end_ns // 1_000_000
        outputs: list[RefusalOutput] = []
        for kind in _in_order(state):
            kind.since_timestep = 0
            for partition, minute in sorted(kind.partitions.items()):
                quiet_ms = now_ms - _last_heard_ms(minute.clock_ms, minute.market_ms, now_ms)
                if minute.summed is not None and quiet_ms >= MINUTE_MS:
                    outputs.append(_published(kind, partition, minute, minute.summed))
            quiet_ms = now_ms - _last_heard_ms(kind.many_ms, kind.many_market_ms, now_ms)
            if quiet_ms >= CLEARED_AFTER_MS:
                alert = update_alert(alerts, _few(kind), Moment(end_ns, timestep, str(timestep)))
                outputs += [alert] if alert else []
        return outputs

    def at_log_end(self, state: RefusalsState) -> list[RefusalOutput]:
        """The sums that are open when nothing more will come."""
        return [
            _published(kind, partition, minute, minute.summed)
            for kind in _in_order(state)
            for partition, minute in sorted(kind.partitions.items())
            if minute.summed is not None
        ]

    def instead_of_quotes(self, state: RefusalsState) -> tuple[int, str]:
        """How many records of `ticks` were refused since the latest timestep, and for what most of them."""
        kinds = [kind for kind in state.values() if kind.topic == self._ticks and kind.since_timestep]
        if not kinds:
            return 0, ""
        most = max(kinds, key=lambda kind: kind.since_timestep)
        total = sum(kind.since_timestep for kind in kinds)
        refused = f"{total:,} records of {most.topic} were" if total > 1 else f"one record of {most.topic} was"
        of_which = f", {most.since_timestep:,} of them" if len(kinds) > 1 else ""
        cause = self._causes.likely_cause(most, _names(list(most.partitions.values())))
        return total, f"{refused} refused{of_which} as {most.reason}: {cause}"

    def _changed(self, kind: KindOfRefusal, record: Record, market_ms: int, alerts: set[str]) -> Condition | None:
        """Whether records of this kind are now refused in such a number that a human must look, or no longer are.

        None if that is as it was. The offsets tell how many records there were: the engine does not see those that are
        fine.
        """
        here = kind.partitions[record.partition]
        recent = [each for each in kind.partitions.values() if abs(each.clock_ms - here.clock_ms) < MINUTE_MS]
        refused = sum(minute.refused for minute in recent)
        records = max(refused, sum(minute.last_offset - minute.began_offset + 1 for minute in recent))
        records_min, share_min = self._settings.alert_records, self._settings.alert_share
        share = refused / records
        stands = alert_key(KIND, _subject(kind)) in alerts
        least = 0.5 if stands else 1.0
        if refused >= least * records_min and share >= least * share_min:
            kind.many_ms, kind.many_market_ms = record.timestamp_ms, market_ms
            if stands:
                return None
        else:
            # A single record with a stamp from far away says nothing of the others. After a day the timesteps tell.
            over = CLEARED_AFTER_MS <= record.timestamp_ms - kind.many_ms <= DAY_MS
            return _few(kind) if stands and over else None
        in_part = all(minute.in_part == minute.refused for minute in recent)
        whole_feed = kind.topic != self._ticks or (share >= 0.5 and not in_part)
        return Condition(
            kind=KIND,
            subject=_subject(kind),
            severity="critical" if whole_feed else "warning",
            holds=True,
            message=f"{refused:,} of {records:,} records of {kind.topic} were refused {'in part ' if in_part else ''}"
            f"as {kind.reason} within a minute: {self._causes.likely_cause(kind, _names(recent))}",
            value=share,
            limit=share_min,
        )


def _in_order(state: RefusalsState) -> list[KindOfRefusal]:
    """The kinds by name. Which one came first may depend on the order in which partitions were read."""
    return [state[name] for name in sorted(state)]


def _minute_of(kind: KindOfRefusal, record: Record, market_ms: int) -> PartitionMinute:
    """The minute of the record's partition into which it falls, a new one where the last one is over."""
    minute = kind.partitions.get(record.partition)
    time_ms = record.timestamp_ms
    if minute is None or time_ms - minute.began_ms >= MINUTE_MS:
        minute = PartitionMinute(time_ms, record.offset, record.offset, time_ms, market_ms)
        kind.partitions[record.partition] = minute
    minute.last_offset = record.offset
    minute.clock_ms = max(minute.clock_ms, time_ms)
    minute.market_ms = market_ms
    return minute


def _sum_up(kind: KindOfRefusal, minute: PartitionMinute, refused: Refused) -> list[RefusedSummary]:
    """Add a record to the open sum of its minute. Returns the sum if it is full."""
    record, time_ms = refused.record, refused.record.timestamp_ms
    summed = minute.summed
    if summed is None:
        detail = bounded(refused.detail, DETAIL_CHARACTERS_MAX)
        summed = minute.summed = SummedUp(record.offset, record.offset, time_ms, time_ms, detail)
    summed.records += 1
    summed.last_offset = record.offset
    summed.earliest_ms = min(summed.earliest_ms, time_ms)
    summed.latest_ms = max(summed.latest_ms, time_ms)
    summed.names.add(refused.names)
    if summed.records < SUM_RECORDS_MAX:
        return []
    if summed.latest_ms < minute.began_ms:
        # The minute began with a record from the future. All that came since is of an earlier time, so that one counts.
        minute.began_ms = minute.clock_ms = summed.latest_ms - MINUTE_MS
    return [_published(kind, record.partition, minute, summed)]


def _ended_before(state: RefusalsState, record: Record) -> list[RefusedSummary]:
    """The open sums of the record's partition whose minute is over at the record's time."""
    return [
        _published(kind, record.partition, minute, minute.summed)
        for kind in _in_order(state)
        if kind.topic == record.topic and (minute := kind.partitions.get(record.partition)) is not None
        if minute.summed is not None and record.timestamp_ms - minute.began_ms >= MINUTE_MS
    ]


def _published(kind: KindOfRefusal, partition: int, minute: PartitionMinute, summed: SummedUp) -> RefusedSummary:
    """The message of a sum, which is no longer open."""
    minute.summed = None
    return RefusedSummary(
        id=f"refused-summary/{kind.topic}/{partition}/{summed.first_offset}-{summed.last_offset}/{kind.reason}",
        topic=kind.topic,
        partition=partition,
        reason=kind.reason,
        records=summed.records,
        first_offset=summed.first_offset,
        last_offset=summed.last_offset,
        event_time_ns=_time_ns(summed.latest_ms),
        from_ns=_time_ns(summed.earliest_ms),
        detail=summed.detail,
        names=summed.names.counts,
        other_names=summed.names.others,
    )


def _last_heard_ms(clock_ms: int, market_ms: int, now_ms: int) -> int:
    """When, in the market's time, a record was refused last.

    Its own time says it, unless its clock and the market's differ: in a replay of old prices the record may be dated
    today. Then the timestep says it that was the latest when the record came.
    """
    return max(market_ms, clock_ms if clock_ms <= now_ms + DAY_MS else 0)


def _subject(kind: KindOfRefusal) -> str:
    return f"{kind.topic}/{kind.reason}"


def _few(kind: KindOfRefusal) -> Condition:
    return Condition(
        kind=KIND,
        subject=_subject(kind),
        severity="warning",
        holds=False,
        message=f"few or no records of {kind.topic} are still refused as {kind.reason}",
    )


def _names(minutes: list[PartitionMinute]) -> NameCounts:
    names = NameCounts()
    for minute in minutes:
        names = names.merged(minute.names)
    return names


def _time_ns(time_ms: int) -> int:
    """A record's timestamp as an event time; 0 where it can be none."""
    return time_ms * 1_000_000 if 0 <= time_ms * 1_000_000 <= LATEST_NS else 0
