"""What time it is, by the clocks of several sources of which one may be wrong.

A *source* is what dates quotes: the feed that a quote names; without a name, the instrument in its partition, or the
partition for a batch. *Now* is the latest event time that the sources agree on. Three rules keep one clock from
deciding alone:

1. A quote that is further ahead of now than what is usual is a *jump*. It moves now when more than half of the sources
   that are heard have jumped, when its source has gone on for as long again and no other was heard, or, where no other
   source is there, with the next quote. A quote of the old time in between contradicts it: then it waits for its time.
2. Once a timestep the offset of a source is sampled: its event time less now, at its arrival; of a source that does not
   move now, at the next arrival of another one. The median of the last samples is its offset. The middle source is
   right, of two the slower one. One that leads it by more than a quarter of a timestep beyond the allowed lateness is
   *ahead*. It does not move now, and nothing waits for it.
3. An event cannot be later than its record. So where event times are after the records' timestamps, and those of the
   others are not, their source is ahead too. Of two sources the records also tell whether the slower one is behind.

While only sources that are ahead are heard, now follows them: their time, less their lead and less what is usual.

No wall clock in here: the same sequence of quotes gives the same times.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from stream.events.types import ClockWitness, SourceAhead

SOURCES_MAX = 64
"""Sources with a clock of their own. The names come from outside: without a bound they could fill the memory."""

SAMPLES_KEPT = 5
SAMPLES_TO_JUDGE = 3
"""The median of five withstands two wrong ones, and follows a clock that was set within three timesteps."""

SAMPLED_STEPS = 10
"""The samples that decide come from so many timesteps. So a few stale quotes, now and then, slow nobody down."""

RECENT_STEPS = 60
"""A source that was not heard for so many timesteps is gone."""

USUAL_DECAY = 64
"""What is usual falls by one part in so many with each quote that moves now: it follows the last hundred or so."""

JUMP_FLOOR_NS = 2_000_000_000
"""A lead of two seconds, or of two timesteps where they are shorter, is no jump: it makes few quotes of others late."""

START_STEPS = 2
"""While nothing has closed one sample decides, so its lead has to be large."""

NAMES_KEPT = 5

RECORDS_NEAR_NS = 60_000_000_000
"""Records whose timestamps lie further after their events are a replay, or a backlog. They tell nothing of clocks."""


@dataclass
class SourceClock:
    """What is known of the clock of one source.

    `latest_ns` is its latest event time, and `heard_ns` was now when it came. `ahead_ns` is its lead if it is ahead,
    else 0. A jump that nothing confirmed or contradicted goes from `jump_from_ns` to `jump_to_ns`; without one both are
    0. `waits_until_ns` is the latest time of a quote that was contradicted. `beyond_record_ns` is how much later its
    latest quote is dated than the record. The lists have the last samples of that and of the offset, and when they were
    taken.
    """

    partition: str
    latest_ns: int
    heard_ns: int
    sampled_ns: list[int] = field(default_factory=list)
    offsets_ns: list[int] = field(default_factory=list)
    beyond_record_ns: int | None = None
    beyond_records_ns: list[int] = field(default_factory=list)
    ahead_ns: int = 0
    witness: ClockWitness = "undecided"
    jump_from_ns: int = 0
    jump_to_ns: int = 0
    waits_until_ns: int = 0


@dataclass
class ClocksState:
    """Everything that decides what time it is.

    `arrived_ns` was now at the last quote of a source that is not ahead. `partitions_ns` has the latest time of each
    partition that counts. `jumping` are the sources with a jump, and `unanswered` those that are ahead and have quoted
    since that quote.
    """

    now_ns: int = 0
    usual_ns: int = 0
    arrived_ns: int = 0
    partitions_ns: dict[str, int] = field(default_factory=dict)
    sources: dict[str, SourceClock] = field(default_factory=dict)
    jumping: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)


class Clocks:
    """Judges the clocks of one universe. Its state is passed in.

    Parameters
    ----------
    step_ns : length of a timestep.
    lateness_ns : the allowed lateness, which forgives a lead as large as it is.
    """

    def __init__(self, step_ns: int, lateness_ns: int) -> None:
        self._step_ns = step_ns
        self._tolerance_ns = step_ns // 4 + lateness_ns
        self._jump_floor_ns = max(self._tolerance_ns, min(2 * step_ns, JUMP_FLOOR_NS))

    def known_as(self, state: ClocksState, source: str, partition: str) -> str:
        """The name under which a new `source` is judged: its partition's where there are too many sources."""
        if len(state.sources) < SOURCES_MAX:
            return source
        quietest = min(state.sources, key=lambda name: state.sources[name].heard_ns)
        if state.now_ns - state.sources[quietest].heard_ns > RECENT_STEPS * self._step_ns:
            del state.sources[quietest]
            for names in (state.jumping, state.unanswered):
                if quietest in names:
                    names.remove(quietest)
            return source
        return partition

    def hear(
        self, state: ClocksState, source: str, partition: str, time_ns: int, recorded_ns: int, nothing_closed: bool
    ) -> None:
        """Take note of a quote of `source`, which must be a name that `known_as` returned.

        `recorded_ns` is the timestamp of its record, 0 where it is unknown. While `nothing_closed`, one sample decides:
        no step can be closed wrongly by it yet.
        """
        if not state.now_ns:
            state.now_ns, state.usual_ns = time_ns, self._step_ns
        clock = state.sources.get(source)
        if clock is None:
            clock = state.sources[source] = SourceClock(partition, time_ns, state.now_ns)
        clock.partition = partition
        clock.beyond_record_ns = time_ns - recorded_ns if recorded_ns else None
        bound_ns = self._bound_ns(state)
        if clock.ahead_ns:
            clock.latest_ns, clock.heard_ns = time_ns, state.now_ns
            if source not in state.unanswered:
                state.unanswered.append(source)
            state.now_ns = max(state.now_ns, time_ns - clock.ahead_ns - max(bound_ns, 2 * self._step_ns))
            if state.now_ns - state.arrived_ns > RECENT_STEPS * self._step_ns:
                self._judge(state, nothing_closed)
        elif time_ns > state.now_ns + bound_ns:
            self._jump(state, source, time_ns)
        else:
            if (state.jumping or state.unanswered) and time_ns >= state.now_ns - bound_ns:
                self._answer(state, time_ns, nothing_closed)
            if time_ns > state.now_ns:
                state.usual_ns = max(time_ns - state.now_ns, state.usual_ns - state.usual_ns // USUAL_DECAY)
                state.now_ns = time_ns
            if time_ns > clock.latest_ns or time_ns < clock.latest_ns - bound_ns:
                clock.latest_ns = time_ns
            now_ns = clock.heard_ns = state.arrived_ns = state.now_ns
            if time_ns > state.partitions_ns.get(partition, 0):
                state.partitions_ns[partition] = time_ns
            # Asked here too: for most quotes the call alone would cost more than all of the above.
            if not clock.sampled_ns or now_ns >= clock.sampled_ns[-1] + self._step_ns:
                self._sample(state, source, time_ns - now_ns, nothing_closed)

    def offset_ns(self, state: ClocksState, source: str) -> int:
        """By how much the quotes of `source` lead now as a rule, negative where they are behind."""
        clock = state.sources.get(source)
        return _median(clock.offsets_ns) if clock and clock.offsets_ns else 0

    def ahead(self, state: ClocksState) -> tuple[SourceAhead, ...]:
        """The sources that are ahead, and those of which a quote waits for its time."""
        found = []
        for name, clock in state.sources.items():
            if clock.ahead_ns or clock.waits_until_ns > state.now_ns:
                lead_ns = clock.ahead_ns or clock.waits_until_ns - state.now_ns
                others = sorted(other for other, each in state.sources.items() if other != name and not each.ahead_ns)
                witness = clock.witness if clock.ahead_ns else "one-quote"
                found.append(SourceAhead(name, lead_ns, tuple(others[:NAMES_KEPT]), len(others), witness))
        return tuple(found)

    def _bound_ns(self, state: ClocksState) -> int:
        """How far a quote may be ahead of now without being a jump: twice the longest usual gap between quotes."""
        return max(2 * state.usual_ns, self._jump_floor_ns)

    def _jump(self, state: ClocksState, source: str, time_ns: int) -> None:
        clock = state.sources[source]
        first = source not in state.jumping
        if first:
            state.jumping.append(source)
            clock.jump_from_ns = clock.jump_to_ns = time_ns
        clock.jump_from_ns = min(clock.jump_from_ns, time_ns)
        clock.jump_to_ns = max(clock.jump_to_ns, time_ns)
        clock.heard_ns = state.now_ns
        bound_ns = self._bound_ns(state)
        since_ns = state.now_ns - max(bound_ns, 2 * self._step_ns)
        heard = sum(not each.ahead_ns and each.heard_ns >= since_ns for each in state.sources.values())
        alone = heard == 1
        if alone and not first:
            reached_ns = clock.jump_from_ns
        elif not alone and 2 * len(state.jumping) > heard:
            reached_ns = min(state.sources[name].jump_to_ns for name in state.jumping)
        elif time_ns - clock.jump_from_ns >= bound_ns:
            reached_ns = time_ns
        else:
            return
        # Sparse quotes become usual step by step; one long gap, as over a week-end, does not.
        state.usual_ns = min(max(reached_ns - state.now_ns, state.usual_ns), 2 * state.usual_ns)
        state.now_ns = state.arrived_ns = reached_ns
        bound_ns = self._bound_ns(state)
        for name in sorted(state.jumping, key=lambda name: state.sources[name].jump_to_ns):
            jumped = state.sources[name]
            if jumped.jump_to_ns <= state.now_ns + bound_ns:
                state.now_ns = max(state.now_ns, jumped.jump_to_ns)
                jumped.latest_ns, jumped.heard_ns = jumped.jump_to_ns, state.now_ns
                latest_ns = state.partitions_ns.get(jumped.partition, 0)
                state.partitions_ns[jumped.partition] = max(jumped.jump_to_ns, latest_ns)
                jumped.jump_from_ns = jumped.jump_to_ns = 0
                state.jumping.remove(name)

    def _answer(self, state: ClocksState, time_ns: int, nothing_closed: bool) -> None:
        """A quote of the old time came: the jumps were none, and by how much the others lead can be told."""
        jumping, state.jumping = state.jumping, []
        unanswered, state.unanswered = state.unanswered, []
        for name in jumping:
            clock = state.sources[name]
            jumped_ns, clock.jump_from_ns, clock.jump_to_ns = clock.jump_to_ns, 0, 0
            clock.waits_until_ns = max(clock.waits_until_ns, jumped_ns)
            self._sample(state, name, jumped_ns - time_ns, nothing_closed)
        for name in unanswered:
            self._sample(state, name, state.sources[name].latest_ns - time_ns, nothing_closed)

    def _sample(self, state: ClocksState, source: str, offset_ns: int, nothing_closed: bool) -> None:
        clock = state.sources[source]
        if clock.sampled_ns and state.now_ns < clock.sampled_ns[-1] + self._step_ns:
            return
        clock.sampled_ns = [*clock.sampled_ns, state.now_ns][-SAMPLES_KEPT:]
        clock.offsets_ns = [*clock.offsets_ns, offset_ns][-SAMPLES_KEPT:]
        beyond_ns = clock.beyond_record_ns
        if beyond_ns is not None:
            clock.beyond_records_ns = [*clock.beyond_records_ns, beyond_ns][-SAMPLES_KEPT:]
        far_off = abs(offset_ns) > self._tolerance_ns or (beyond_ns or 0) > self._tolerance_ns
        if far_off or any(each.ahead_ns for each in state.sources.values()):
            self._judge(state, nothing_closed)

    def _judge(self, state: ClocksState, nothing_closed: bool) -> None:
        """Find the sources that lead the middle one."""
        samples, least_ns = SAMPLES_TO_JUDGE, self._tolerance_ns
        if nothing_closed:
            samples, least_ns = 1, max(self._tolerance_ns, START_STEPS * self._step_ns)
        since_ns = state.now_ns - SAMPLED_STEPS * self._step_ns
        judged = {
            name: _median(clock.offsets_ns)
            for name, clock in state.sources.items()
            if len(clock.offsets_ns) >= samples and clock.sampled_ns[-samples] >= since_ns
        }
        right_ns, witness = self._right_offset(state, judged, since_ns, nothing_closed)
        gone_ns = state.now_ns - RECENT_STEPS * self._step_ns
        others_gone = state.arrived_ns < gone_ns
        changed = False
        for name, clock in state.sources.items():
            by = witness
            if clock.ahead_ns and (name not in judged or len(judged) == 1):
                # Too few quotes to judge by: what was found stays, until this source or all others are gone.
                if clock.heard_ns >= gone_ns and not others_gone:
                    continue
                lead_ns = 0
            else:
                lead_ns = judged.get(name, right_ns) - right_ns
                by_records_ns = self._lead_by_records(state, name) if name in judged and len(judged) > 1 else 0
                if by_records_ns > max(lead_ns, least_ns):
                    lead_ns, by = by_records_ns, "records"
            needed_ns = self._tolerance_ns // 2 if clock.ahead_ns else least_ns
            ahead_ns = lead_ns if lead_ns > needed_ns else 0
            changed = changed or bool(clock.ahead_ns) != bool(ahead_ns)
            clock.ahead_ns, clock.witness = ahead_ns, by if ahead_ns else "undecided"
        if changed:
            self._reckon_now(state)

    def _right_offset(
        self, state: ClocksState, judged: dict[str, int], since_ns: int, nothing_closed: bool
    ) -> tuple[int, ClockWitness]:
        """The offset of the source that counts as right, and on which evidence.

        Of two the slower one counts as right if it was heard in most timesteps since `since_ns`, or before any step
        closed: a few stale quotes now and then are no clock.
        """
        if len(judged) < 2:
            return 0, "undecided"
        slower_ns = sorted(judged.values(), reverse=True)[len(judged) // 2]
        if len(judged) > 2:
            agree = sum(abs(offset_ns - slower_ns) <= self._tolerance_ns for offset_ns in judged.values())
            return slower_ns, "majority" if 2 * agree > len(judged) else "undecided"
        (lead_ns, first), (behind_ns, second) = sorted(((at, name) for name, at in judged.items()), reverse=True)
        faster, slower = state.sources[first], state.sources[second]
        steady = len(slower.sampled_ns) == SAMPLES_KEPT and slower.sampled_ns[0] >= since_ns
        if not (steady or nothing_closed or faster.ahead_ns):
            return lead_ns, "undecided"
        if faster.beyond_records_ns and slower.beyond_records_ns:
            by_faster, by_slower = _median(faster.beyond_records_ns), _median(slower.beyond_records_ns)
            if by_faster - by_slower >= (lead_ns - behind_ns) // 2 and by_faster >= -RECORDS_NEAR_NS:
                # The records say too that the two are apart. The one whose events lie near its records is right.
                return (lead_ns, "records") if by_faster <= self._tolerance_ns else (behind_ns, "records")
        return behind_ns, "undecided"

    def _lead_by_records(self, state: ClocksState, source: str) -> int:
        """By how much the events of `source` are later than their records, where those of the others are not.

        In a backlog it is the only sign: the merge orders by event time, so that no lead shows at the arrival.
        """
        beyond = {
            name: _median(clock.beyond_records_ns)
            for name, clock in state.sources.items()
            if len(clock.beyond_records_ns) >= SAMPLES_TO_JUDGE
        }
        own_ns = beyond.pop(source, 0)
        return own_ns - max(0, _median(list(beyond.values()))) if own_ns > self._tolerance_ns and beyond else 0

    def _reckon_now(self, state: ClocksState) -> None:
        """Set now anew, by the sources that are not ahead. All that was measured from now moves with it."""
        since_ns = state.now_ns - RECENT_STEPS * self._step_ns
        right = [clock for clock in state.sources.values() if not clock.ahead_ns and clock.heard_ns >= since_ns]
        if not right:
            return
        moved_ns = max(clock.latest_ns for clock in right) - state.now_ns
        state.now_ns += moved_ns
        state.arrived_ns += moved_ns
        for clock in state.sources.values():
            clock.heard_ns += moved_ns
            clock.sampled_ns = [sampled_ns + moved_ns for sampled_ns in clock.sampled_ns]
            clock.offsets_ns = [offset_ns - moved_ns for offset_ns in clock.offsets_ns]
            clock.jump_from_ns = clock.jump_to_ns = 0
        state.jumping, state.unanswered = [], []
        for partition, latest_ns in state.partitions_ns.items():
            state.partitions_ns[partition] = min(latest_ns, state.now_ns)
        for clock in right:
            latest_ns = state.partitions_ns.get(clock.partition, 0)
            state.partitions_ns[clock.partition] = max(latest_ns, min(clock.latest_ns, state.now_ns))


def _median(values: list[int]) -> int:
    """The middle value, the upper one of two; 0 of none."""
    return sorted(values)[len(values) // 2] if values else 0
