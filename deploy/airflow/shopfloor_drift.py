"""A turn of the line as soon as something drifts: a look each hour, and exit code 3 starts `shopfloor_line`.

Put this file beside `shopfloor_line.py`, with the same environment; what is usual has to be said once, by
`shopfloor drift --reference DIR`, or the look fails and says so. Exit code 3 comes once for each change, and
not while a turn is open, so that turns do not queue up.

Not covered: the tests for drift (`shopfloor drift`), and what a turn learns from (docs/operating.md).
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG

COMMAND = os.environ.get("SHOPFLOOR", "shopfloor")
NOTHING = 99  # what skips a BashOperator, and with it what comes after

with DAG(
    dag_id="shopfloor_drift",
    description="Whether what is seen and done now is still what was trained on",
    schedule="@hourly",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"execution_timeout": timedelta(minutes=30)},
    tags=["shopfloor"],
) as dag:
    look = BashOperator(
        task_id="look",
        bash_command=f"{COMMAND} drift --new --json; code=$?; "
        f"if [ $code -eq 0 ]; then exit {NOTHING}; elif [ $code -eq 3 ]; then exit 0; else exit $code; fi",
        append_env=True,
        do_xcom_push=True,
        skip_on_exit_code=NOTHING,
    )
    look >> TriggerDagRunOperator(task_id="turn", trigger_dag_id="shopfloor_line")
