"""Golden bytes: what a released version wrote is what today's code writes, or at least still reads.

Files are named ``golden/<version>/<message>.json`` and ``.msgpack``. When a message gains a field, raise
``schemas.asyncapi.VERSION``, give the field a value in `SAMPLES`, and run ``python tests/schemas/test_golden.py``: it
adds the files of the new version and never touches an existing one.
"""

from __future__ import annotations

import base64
import json
import math
import struct
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from schemas.asyncapi import VERSION
from schemas.inbound import HedgeStatus, Position, Tick, TickBatch
from schemas.internal import PartitionOffset, Snapshot
from schemas.outbound import (
    Alert,
    AssetExposure,
    DeadLetter,
    HedgeSuggestion,
    HedgeTrade,
    InstrumentSkew,
    Model,
    ModelBeta,
    PackedBeta,
    QuoteSkew,
    ResidualExposure,
)
from schemas.topics import TOPIC_OF
from schemas.wire import JSON, MESSAGE_PACK, decode, encode, message_name

GOLDEN = Path(__file__).parent / "golden"
SUFFIXES = {JSON: ".json", MESSAGE_PACK: ".msgpack"}
EVENT_TIME_NS = 1_704_445_260_000_000_000  # 2024-01-05 09:01:00 UTC

# One message of every type, as in production: every field given, and figures that agree with each other.
SAMPLES: tuple[Struct, ...] = (
    Tick(
        instrument="EURUSD",
        event_time_ns=EVENT_TIME_NS,
        bid=1.08416,
        ask=1.08424,
        bid_size_lots=30.0,
        ask_size_lots=25.0,
        source="ecn-1",
        seq=184_467,
        bid_levels=((1.08414, 40.0), (1.08411, 100.0)),
        ask_levels=((1.08426, 55.0),),
    ),
    TickBatch(
        universe="majors",
        event_time_ns=EVENT_TIME_NS,
        instruments=("EURUSD", "EURCHF"),
        bids=struct.pack("<2d", 1.08416, 0.95884),
        asks=struct.pack("<2d", 1.08424, 0.95893),
        source="ecn-1",
        seq=184_468,
    ),
    Position(
        book="desk-zürich",
        asset="CHF",
        quantity=-9_500_000.0,
        event_time_ns=EVENT_TIME_NS,
        source="ledger",
        seq=5_120,
    ),
    HedgeStatus(
        book="desk-zürich",
        suggestion_id="hedge/desk-zürich/28407421/412",
        instrument="EURCHF",
        status="part-filled",
        filled_lots=3,
        event_time_ns=EVENT_TIME_NS,
        source="ems-1",
        seq=77,
    ),
    Model(
        id="majors/28407421/412",
        universe="majors",
        numeraire="USD",
        event_time_ns=EVENT_TIME_NS,
        timestep=28_407_421,
        model_version=412,
        assets=("CHF", "EUR", "GBP", "NOK"),
        prices=(1.1307, 1.0842, 1.2715, None),
        covariance=(
            (2.89e-08, 2.6112e-08, 1.8972e-08, 0.0),
            (2.6112e-08, 2.56e-08, 2.016e-08, 0.0),
            (1.8972e-08, 2.016e-08, 3.24e-08, 0.0),
            (0.0, 0.0, 0.0, 1e-08),
        ),
        observations=500,
        betas=(
            ModelBeta(
                beta_id="sparse:CHF/EUR",
                method="sparse",
                evidence=("reverting", "basis"),
                weights={"CHF": -0.95, "EUR": 1.0},
                basis_ratio=0.04004179384604971,
                basis_horizon_steps=1,
                half_life_steps=17.5,
                spread_volatility=0.00021,
                deviation=-0.82,
                statistic=-3.61,
                version=3,
                age_steps=41,
                basis_ratio_upper=0.055,
                p_value=0.0056,
                adjustment={"CHF": 0.0121, "EUR": -0.0253},
            ),
        ),
        refusals=("johansen: an exact linear relation among EUR, DKK",),
        candidates_tried=6,
        refitted_at_timestep=28_407_420,
        refit_late=True,
    ),
    ResidualExposure(
        id="desk-zürich/28407421/412/28407421",
        book="desk-zürich",
        universe="majors",
        event_time_ns=EVENT_TIME_NS,
        timestep=28_407_421,
        model_version=412,
        trigger="timestep",
        status="ok",
        numeraire="USD",
        limit=750.0,
        positions=(
            AssetExposure(asset="CHF", exposure=-10_741_650.0, residual=-291_650.0),
            AssetExposure(asset="EUR", exposure=13_010_400.0, residual=2_010_400.0),
            AssetExposure(asset="GBP", exposure=1_907_250.0, residual=1_907_250.0),
        ),
        unpriced_assets=(),
        packed=(
            PackedBeta(
                beta_id="sparse:CHF/EUR",
                weights={"CHF": -0.95, "EUR": 1.0},
                multiples=22,
                lot_notional=500_000.0,
                basis_ratio=0.04004179384604971,
                basis_risk=500.40328735930615,
                version=3,
                evidence=("reverting", "basis"),
                basis_ratio_upper=0.055,
                p_value=0.0056,
                horizon_basis_risk=1344.1832059071834,
            ),
        ),
        standalone_risk=4251.0495,
        netted_risk=842.8694281775264,
        basis_risk=500.40328735930615,
        unhedged_risk=759.645403248325,
        limit_share=1.0128605376644333,
        objective_name="volume",
        objective_before=11.297514865779785,
        objective=4.48493317080654,
        lower_bound=4.48493317080654,
        gap=0.0,
        proven=True,
        second_best=4.61027735490112,
        effort_nodes=23,
        stopped_by_clock=False,
        trigger_source="28407421",
        horizon_steps=10,
        horizon_netted_risk=2365.1090212543206,
        horizon_basis_risk=1344.1832059071834,
        horizon_unhedged_risk=2402.2838019281547,
        limit_on="timestep",
    ),
    HedgeSuggestion(
        id="desk-zürich/28407421/412/28407421",
        book="desk-zürich",
        event_time_ns=EVENT_TIME_NS,
        timestep=28_407_421,
        model_version=412,
        residual_exposure_id="desk-zürich/28407421/412/28407421",
        status="trade",
        numeraire="USD",
        limit=750.0,
        target=600.0,
        risk_before=759.645403248325,
        risk_after=594.4164495458099,
        expected_cost=72.0,
        cost_lower_bound=71.99,
        proven=True,
        trades=(
            HedgeTrade(
                instrument="EURUSD",
                side="sell",
                lots=18,
                quantity=1_800_000.0,
                limit_price=1.08416,
                expected_cost=72.0,
                venue="ecn-1",
                share_removed=1.0,
            ),
        ),
        reason="sell 18 lots EURUSD: unhedged risk 760 USD over the limit of 750, "
        "largest residual long 2,010,400 USD of EUR; risk 594 for 72 USD, cheaper than EURCHF + USDCHF by 84 USD",
        trigger_source="28407421",
        effort_nodes=34,
        stopped_by_clock=False,
        limit_on="timestep",
        gap=0.01,
        expected_spread=60.0,
        expected_fee=12.0,
        expected_depth=0.0,
        runner_up=(
            HedgeTrade(
                instrument="EURCHF",
                side="sell",
                lots=18,
                quantity=1_800_000.0,
                limit_price=0.95884,
                expected_cost=101.0,
                venue="ecn-1",
                share_removed=0.7,
            ),
            HedgeTrade(
                instrument="USDCHF",
                side="buy",
                lots=19,
                quantity=1_900_000.0,
                limit_price=0.88442,
                expected_cost=55.0,
                venue="ecn-2",
                share_removed=0.3,
            ),
        ),
        runner_up_cost=156.0,
        runner_up_proven=True,
        band=750.0,
    ),
    QuoteSkew(
        id="quote/desk-zürich/28407421/412/28407421",
        book="desk-zürich",
        universe="majors",
        event_time_ns=EVENT_TIME_NS,
        timestep=28_407_421,
        model_version=412,
        status="ok",
        numeraire="USD",
        flows="franchise",
        flows_hash="3b197a6ede400096",
        residual_exposure_id="desk-zürich/28407421/412/28407421",
        trigger_source="28407421",
        risk_aversion=2.6e-6,
        risk=842.8694281775264,
        urgency=0.586,
        least_risk=750.0,
        instruments=(
            InstrumentSkew(
                instrument="EURUSD",
                skew_bps=-0.1172,
                half_spread_bps=0.2,
                urgency=0.586,
                hedging_rate=0.0,
                threshold=9_223_052.0,
            ),
            InstrumentSkew(
                instrument="EURCHF",
                skew_bps=-0.0144,
                half_spread_bps=None,
                urgency=None,
                hedging_rate=0.0,
                threshold=None,
            ),
        ),
        detail="",
    ),
    Alert(
        id="limit-breach:desk-zürich/raised/28407421",
        alert_key="limit-breach:desk-zürich",
        kind="limit-breach",
        state="raised",
        severity="critical",
        subject="desk-zürich",
        event_time_ns=EVENT_TIME_NS,
        timestep=28_407_421,
        message="unhedged risk 760 USD is over the limit of 750 USD",
        value=759.645403248325,
        limit=750.0,
    ),
    DeadLetter(
        id="ticks/2/918273/not-finite",
        topic="ticks",
        partition=2,
        offset=918_273,
        reason="not-finite",
        detail="bid nan, ask 1.08424",
        event_time_ns=EVENT_TIME_NS,
        key=b"EURUSD",
        value=msgspec.msgpack.encode(
            {"instrument": "EURUSD", "event_time_ns": EVENT_TIME_NS, "bid": math.nan, "ask": 1.08424}
        ),
        content_type=MESSAGE_PACK,
    ),
    Snapshot(
        id="majors/28407421/923395",
        universe="majors",
        format_version=1,
        config_hash="9f86d081884c7d65",
        event_time_ns=EVENT_TIME_NS,
        timestep=28_407_421,
        offsets=(
            PartitionOffset(topic="positions", partition=0, offset=5_121),
            PartitionOffset(topic="ticks", partition=2, offset=918_274),
        ),
        state=b"\x81\xa5books\x90\x00\xff",
    ),
)


def golden_files() -> list[Path]:
    return sorted(path for path in GOLDEN.glob("*/*") if path.suffix in SUFFIXES.values())


def decoded(path: Path) -> Struct:
    message_type = {message_name(message): message for message in TOPIC_OF}[path.stem]
    content_type = {suffix: content_type for content_type, suffix in SUFFIXES.items()}[path.suffix]
    return decode(message_type, path.read_bytes(), content_type)


def assert_contains(today: Any, golden: Any, where: str) -> None:
    """Every value of `golden` stands in `today` at the same place; `today` may have more fields."""
    if isinstance(golden, dict):
        for key, value in golden.items():
            assert key in today, f"{where}.{key} is read no more"
            assert_contains(today[key], value, f"{where}.{key}")
    elif isinstance(golden, list):
        assert len(today) == len(golden), where
        for index, (today_item, golden_item) in enumerate(zip(today, golden, strict=True)):
            assert_contains(today_item, golden_item, f"{where}[{index}]")
    else:
        assert today == golden, where


def test_samples_cover_every_message() -> None:
    """There is a sample of each message."""
    assert {type(sample) for sample in SAMPLES} == set(TOPIC_OF)


@pytest.mark.parametrize("content_type", SUFFIXES)
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: message_name(type(sample)))
def test_todays_bytes(sample: Struct, content_type: str) -> None:
    """Today's code writes the golden bytes of the current version, to the byte."""
    path = GOLDEN / VERSION / (message_name(type(sample)) + SUFFIXES[content_type])
    assert path.exists(), f"{path} is missing; run: python tests/schemas/test_golden.py"
    assert encode(sample, content_type) == path.read_bytes(), "a message changed: raise schemas.asyncapi.VERSION"


@pytest.mark.parametrize("path", golden_files(), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_version_decodes(path: Path) -> None:
    """Bytes of every released version decode, and no value in them is lost on the way."""
    message = decoded(path)
    assert message == decoded(path.with_suffix(".json")), "JSON and MessagePack of one message differ"
    today = json.loads(encode(message, JSON))
    assert_contains(today, json.loads(path.with_suffix(".json").read_bytes()), path.stem)


def test_no_golden_file_is_left_over() -> None:
    """Every version directory holds JSON and MessagePack files in pairs, of messages that exist; none is skipped."""
    for version in GOLDEN.iterdir():
        for path in version.iterdir():
            assert path in golden_files(), path
            assert all(path.with_suffix(suffix).exists() for suffix in SUFFIXES.values()), path


def test_bytes_are_base64_in_json() -> None:
    """Fields of raw bytes are base64 in JSON and bare in MessagePack."""
    sample = next(sample for sample in SAMPLES if isinstance(sample, DeadLetter))
    assert sample.value is not None
    assert json.loads(encode(sample, JSON))["value"] == base64.b64encode(sample.value).decode()
    assert sample.value in encode(sample, MESSAGE_PACK)


def write_current_version() -> None:
    """Add the golden files of the current version that do not exist yet."""
    directory = GOLDEN / VERSION
    directory.mkdir(parents=True, exist_ok=True)
    for sample in SAMPLES:
        for content_type, suffix in SUFFIXES.items():
            path = directory / (message_name(type(sample)) + suffix)
            if not path.exists():
                path.write_bytes(encode(sample, content_type))


if __name__ == "__main__":
    write_current_version()
