"""Plans kept as files."""

from __future__ import annotations

import json
from pathlib import Path

from backfill_core.errors import BadPlanFile
from backfill_core.plan import Plan


def read_plan(path: str) -> Plan:
    """Raises BadPlanFile for what is no plan of ours."""
    try:
        return Plan.from_json(json.loads(Path(path).read_text(encoding="utf-8")))
    except OSError as error:
        raise BadPlanFile(path=path, problem=error.strerror) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadPlanFile(path=path, problem="it is no JSON") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise BadPlanFile(path=path, problem="it is no plan of backfill") from error
    except ValueError as error:
        raise BadPlanFile(path=path, problem=str(error)) from error
