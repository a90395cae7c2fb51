"""Makes what a team's servers keep: the bucket, the limit on GPUs, the work pools and the deployments.

    PERCASYM_DEVICES=8 python deployments/setup.py

It is a client like any other (see deployments/example.env), and may run again at any time: deployments are
brought up to date, and pools that are there stay as they are.
"""

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlparse

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectNotFound
from prefect.workers.process import ProcessWorker

from tasks.devices import GPUS, available

PREFECT_FILE = Path(__file__).with_name("prefect.yaml")
POOLS = {
    "percasym-cpu": "Flows on workers without GPUs.",
    "percasym-gpu": "Flows on workers with GPUs.",
}


def main() -> None:
    artifacts = urlparse(os.environ.get("PERCASYM_ARTIFACTS", ""))
    if artifacts.scheme == "s3":
        make_bucket(artifacts.netloc)
    print(f"{GPUS}: {available(int(os.environ.get('PERCASYM_DEVICES') or 0) or None, GPUS)}", flush=True)
    for name, description in POOLS.items():
        make_pool(name, description)
    command = ["prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(PREFECT_FILE)]
    raise SystemExit(subprocess.run([sys.executable, "-m", *command], check=False).returncode)


def make_bucket(name: str) -> None:
    """Makes the bucket if it is not there."""
    import boto3
    from botocore.exceptions import ClientError

    store = boto3.client("s3", endpoint_url=os.environ.get("MLFLOW_S3_ENDPOINT_URL"))
    try:
        store.head_bucket(Bucket=name)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("404", "NoSuchBucket"):
            raise
        store.create_bucket(Bucket=name)
    print(f"bucket {name}", flush=True)


def make_pool(name: str, description: str) -> None:
    """Makes the work pool if it is not there."""
    with get_client(sync_client=True) as client:
        try:
            client.read_work_pool(name)
        except ObjectNotFound:
            template = ProcessWorker.get_default_base_job_template()
            client.create_work_pool(
                WorkPoolCreate(
                    name=name, type=ProcessWorker.type, description=description, base_job_template=template
                )
            )
    print(f"work pool {name}", flush=True)


if __name__ == "__main__":
    main()
