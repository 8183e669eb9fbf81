"""Files in a folder and in S3: kept whole or not at all, read from any place on."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import boto3
import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials

from charging.service import s3
from charging.service.file_store import FolderStore, S3Store, file_store, new_key
from scripts.programs import Program, free_port

KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    """An S3 with a bucket: its environment and a client of AWS's own library."""
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    variables = {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "DOCKER_HOST": "unix:///nonexistent",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "TMPDIR": str(tmp_path_factory.mktemp("s3")),
    }
    directory = tmp_path_factory.mktemp("log")
    program = Program(["ministack"], directory / "s3.log", variables)
    program.wait_until_ready(f"{endpoint}/_ministack/health")
    client = boto3.client(
        "s3",
        "eu-central-1",
        endpoint_url=endpoint,
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    )
    where = {"LocationConstraint": "eu-central-1"}
    client.create_bucket(Bucket="files", CreateBucketConfiguration=where)
    yield {**KEYS, "AWS_REGION": "eu-central-1", "AWS_ENDPOINT_URL": endpoint}, client
    program.stop()


@pytest.fixture(params=["folder", "s3"])
def store(request, tmp_path, bucket):
    if request.param == "folder":
        return file_store(tmp_path / "files", {})
    return file_store(tmp_path, {**bucket[0], "FILE_STORE": "s3://files/some/prefix"})


def test_what_is_written_is_read(store):
    key = new_key("log")
    store.write(key, [b"abc", b"", b"def"])
    assert b"".join(store.read(key)) == b"abcdef"
    assert b"".join(store.read(key, 4)) == b"ef"
    store.delete(key)
    store.delete(key)
    with pytest.raises(OSError, match=r"404|No such file|no key"):
        list(store.read(key))


def test_large_files_go_in_parts(store):
    key = new_key("firmware")
    parts = [bytes([n]) * 1024 * 1024 for n in range(s3.PART_BYTES // 1024**2 + 4)]
    store.write(key, parts)
    assert b"".join(store.read(key)) == b"".join(parts)


@pytest.mark.parametrize("size", [1, s3.PART_BYTES + 1])
def test_what_breaks_off_is_not_kept(store, size, bucket):
    key = new_key("log")

    def parts():
        yield b"x" * size
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        store.write(key, parts())
    with pytest.raises(OSError, match=r"404|No such file|no key"):
        list(store.read(key))
    assert "Uploads" not in bucket[1].list_multipart_uploads(Bucket="files")


def test_a_key_leaves_no_folder(tmp_path):
    store = FolderStore(tmp_path)
    for key in ("../secret", "log/../../secret", "/etc/passwd", "log"):
        with pytest.raises(OSError, match=r"404|No such file|no key"):
            store.write(key, [b"x"])


@pytest.mark.parametrize("token", ["", "a/token=="])
@pytest.mark.parametrize("query", [{}, {"uploadId": "a b/+", "partNumber": "1"}])
def test_a_call_is_signed_as_awss_own_library_signs_it(token, query):
    credentials = s3.Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG", token)
    path = "/files/log/a_b-c"
    headers = s3.signed_headers(
        ("PUT", path, query), "s3.example", "eu-central-1", credentials, datetime.now(UTC)
    )
    url = f"https://s3.example{path}"
    request = AWSRequest("PUT", url, {}, b"", params=query)
    request.context["timestamp"] = headers["x-amz-date"]
    for name in ("host", "x-amz-date", "x-amz-content-sha256"):
        request.headers[name] = headers[name]
    if token:
        request.headers["x-amz-security-token"] = token
    signer = botocore.auth.S3SigV4Auth(
        BotocoreCredentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG", token), "s3", "eu-central-1"
    )
    text = signer.string_to_sign(request, signer.canonical_request(request))
    assert headers["authorization"].endswith(f"Signature={signer.signature(text, request)}")


def test_a_tasks_role_is_asked_again_before_its_credentials_end():
    asked = []

    class Surroundings(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            minutes = 1 if len(asked) == 1 else 60
            ends = (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()
            keys = {"AccessKeyId": f"key{len(asked)}", "SecretAccessKey": "s", "Token": "t"}
            body = json.dumps({**keys, "Expiration": ends}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Surroundings)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/role"
    give = s3.credentials_from({"AWS_CONTAINER_CREDENTIALS_FULL_URI": url})
    assert [give().key_id for _ in range(3)] == ["key1", "key2", "key2"]
    server.shutdown()
    server.server_close()


def test_what_is_missing_is_said(tmp_path):
    with pytest.raises(ValueError, match="AWS_REGION"):
        file_store(tmp_path, {**KEYS, "FILE_STORE": "s3://files"})
    with pytest.raises(ValueError, match="no credentials"):
        file_store(tmp_path, {"FILE_STORE": "s3://files", "AWS_REGION": "eu-central-1"})
    s3_store = {**KEYS, "FILE_STORE": "s3://files", "AWS_REGION": "eu-central-1"}
    assert isinstance(file_store(tmp_path, s3_store), S3Store)
