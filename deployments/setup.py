"""Makes what a team's servers keep: the bucket with its users, the limit on GPUs, the work pools and the
deployments.

    PERCASYM_DEVICES=8 python deployments/setup.py

It is a client like any other (see deployments/example.env), and may run again at any time: deployments are
brought up to date, and pools that are there stay as they are.
"""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from xml.sax.saxutils import escape

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
READ = ("s3:GetObject", "s3:ListBucket")
# Nobody deletes.
WRITE = (*READ, "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")
USERS = {"mlflow": READ, "worker-cpu": WRITE, "worker-gpu": WRITE}


def main() -> None:
    artifacts = urlparse(os.environ.get("PERCASYM_ARTIFACTS", ""))
    if artifacts.scheme == "s3":
        make_bucket(artifacts.netloc)
        secrets = {name: os.environ.get(f"STORE_SECRET_{name.upper().replace('-', '_')}") for name in USERS}
        make_users(artifacts.netloc, {name: secret for name, secret in secrets.items() if secret})
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


def make_users(bucket: str, secrets: dict[str, str]) -> None:
    """Makes users of a store of versitygw, or gives them these secrets, and lets each do what it has to
    in the bucket. A store of another kind has users of its own, so for that one there are no secrets."""
    import boto3

    for name, secret in secrets.items():
        user = f"<Access>{name}</Access><Secret>{escape(secret)}</Secret><Role>user</Role>"
        if _administer("create-user", f"<Account>{user}</Account>") == HTTPStatus.CONFLICT:  # it is there
            change = f"<MutableProps><Secret>{escape(secret)}</Secret></MutableProps>"
            _administer(f"update-user?access={name}", change)
    if secrets:
        store = boto3.client("s3", endpoint_url=os.environ["MLFLOW_S3_ENDPOINT_URL"])
        store.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy(bucket, secrets)))
    print(f"users {', '.join(secrets) or 'are those of the store'}", flush=True)


def policy(bucket: str, users: Any) -> dict[str, Any]:
    """What each of `users` may do in the bucket."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": [name]},
                "Action": list(USERS[name]),
                "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
            }
            for name in users
        ],
    }


def _administer(what: str, body: str) -> int:
    """Asks versitygw as its owner; returns the status."""
    import botocore.session
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest

    session = botocore.session.get_session()
    address = f"{os.environ['MLFLOW_S3_ENDPOINT_URL']}/{what}"
    signed = AWSRequest("PATCH", address, data=body.encode())
    S3SigV4Auth(session.get_credentials(), "s3", session.get_config_variable("region")).add_auth(signed)
    request = urllib.request.Request(address, body.encode(), dict(signed.headers.items()), method="PATCH")
    try:
        with urllib.request.urlopen(request) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        if error.code != HTTPStatus.CONFLICT:
            raise
        return error.code


def make_pool(name: str, description: str) -> None:
    """Makes the work pool if it is not there."""
    with get_client(sync_client=True) as client:
        try:
            client.read_work_pool(name)
        except ObjectNotFound:
            client.create_work_pool(
                WorkPoolCreate(
                    name=name,
                    type=ProcessWorker.type,
                    description=description,
                    base_job_template=job_template(),
                )
            )
    print(f"work pool {name}", flush=True)


def job_template() -> dict[str, Any]:
    """Prefect's own, in which whoever starts a run chooses neither its command nor its environment: by these
    a form could do what it may not."""
    template = ProcessWorker.get_default_base_job_template()
    for fixed in ("command", "env", "working_dir"):
        del template["job_configuration"][fixed], template["variables"]["properties"][fixed]
    return template


if __name__ == "__main__":
    main()
