"""The services that fill L3, L4 and L5 on Google Cloud, and what their answers mean.

An answer of 200 says little: every processor may have failed, the date may have been skipped, or somebody else held its lock,
and "success" stands there all the same. So it is a claim, and the table is looked at.
"""

from backfill_core import Answer, Http, Poll, Service, Sign

_RESULTS = Answer(
    results="results",
    processor="processor",
    status="status",
    means={"success": "done", "error": "failed", "exception": "failed"},
    error="error",
)
_PREDICTED = Answer(
    date="game_date",
    status="status",
    means={"running": "running", "completed": "done", "failed": "failed"},
    error="error",
)
_INCOMPLETE = Answer(signs=(Sign("declined", status=503, contains="DATA_INCOMPLETE"),), error="message")

#: Its lock stays for ten minutes after a call that was lost, and Cloud Run ends a call after an hour.
_L3 = Service("l3", in_flight=5, lock=600, timeout=3600)
_L4 = Service("l4", in_flight=5, lock=600, timeout=3600)
_L5 = Service("l5", in_flight=5, lock=600, timeout=3600)


def L3(known_as: str) -> Http:  # noqa: N802  (the layer's name)
    """A processor of L3, a run of dates a call."""
    return Http(
        "${L3_URL}/process-date-range",
        json={
            "start_date": "{date_from}",
            "end_date": "{date_to}",
            "processors": "{processors}",
            "backfill_mode": True,
            "correlation_id": "{correlation_id}",
        },
        known_as=known_as,
        answer=_RESULTS,
        service=_L3,
        identity=True,
        max_dates=31,
        consecutive=True,
    )


def L4(known_as: str, *, seconds: float) -> Http:  # noqa: N802
    """A processor of L4: one call has a date with all that are ready, and runs them one after the other."""
    return Http(
        "${L4_URL}/process-date",
        json={
            "analysis_date": "{date}",
            "processors": "{processors}",
            "backfill_mode": True,
            "correlation_id": "{correlation_id}",
        },
        known_as=known_as,
        answer=_RESULTS,
        service=_L4,
        identity=True,
        together="l4",
        in_order=True,
        seconds=seconds,
    )


def L5() -> Http:  # noqa: N802
    """Predictions of one date: accepted, and asked after. It does not look at what else is sent."""
    return Http(
        "${L5_URL}/start",
        json={"game_date": "{date}", "correlation_id": "{correlation_id}"},
        answer=_INCOMPLETE,
        poll=Poll("${L5_URL}/status?game_date={date}", answer=_PREDICTED),
        service=_L5,
        identity=True,
    )
