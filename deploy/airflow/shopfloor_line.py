"""The line as an Airflow DAG: each stage is `shopfloor line --only STAGE`, as a person or cron would call it.

Put this file into Airflow's `dags` folder, and set in the environment of scheduler and worker:

    SHOPFLOOR          the command, of a checkout /…/.venv/bin/shopfloor  (default: shopfloor)
    SHOPFLOOR_HOME     the state folder that all tasks share
    SHOPFLOOR_SIZE     tiny, nano or micro                                (default: nano)

Both paths from the root on, for Airflow runs each task in a folder of its own.

Needs no Shopfloor in Airflow's own environment. Two turns never overlap; a stage that failed is tried again
and goes on where it was, and one that was finished with equal inputs is passed over at once.

Not covered: executors on several machines, which need the state folder on a disk they share.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

STAGES = ("ingest", "generate", "pretrain", "sft", "rft", "evaluate", "promote", "deploy")
COMMAND = os.environ.get("SHOPFLOOR", "shopfloor")
SIZE = os.environ.get("SHOPFLOOR_SIZE", "nano")

with DAG(
    dag_id="shopfloor_line",
    description="From what was recorded to a model in use",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={
        "retries": 2,
        "retry_delay": timedelta(minutes=1),
        "execution_timeout": timedelta(hours=12),
    },
    tags=["shopfloor"],
) as dag:
    before = None
    for stage in STAGES:
        task = BashOperator(
            task_id=stage,
            bash_command=f"{COMMAND} line --size {SIZE} --only {stage} --json",
            append_env=True,
            do_xcom_push=True,
        )
        if before is not None:
            before >> task
        before = task
