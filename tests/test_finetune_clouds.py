"""What is special about single tuners: how files reach them, who one is there, how requests are signed."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from racto.knowledge.errors import ConfigError, InputError, RactoGatewayAuthError
from racto.tools.finetune.tuners import fireworks
from racto.tools.finetune.tuners.bedrock import BedrockFineTuner
from racto.tools.finetune.tuners.gemini import GeminiFineTuner
from racto.tools.finetune.tuners.sigv4 import AWSCredentials, signed

from tests.dialects.tuning import MODEL, FireworksTuning
from tests.dialects.tuning_clouds import BedrockTuning, GeminiTuning
from tests.test_finetune_tuners import PAIRS, TRAINING, Side, begun

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_large_file_goes_to_fireworks_by_a_signed_address(monkeypatch: pytest.MonkeyPatch) -> None:
    side = Side(FireworksTuning)
    monkeypatch.setattr(fireworks, "DIRECT_BYTES", 100)
    async with side.tuner() as tuner:
        name = await tuner.aupload_dataset(TRAINING)
        again = await tuner.aupload_dataset(TRAINING)
    assert name == again
    assert list(side.server.files.values()) == [TRAINING.to_jsonl_string("fireworks")]
    # The same examples are not sent twice.
    assert [each.method for each in side.server.received].count("PUT") == 1


async def test_fireworks_takes_no_held_out_examples_with_preferences() -> None:
    side = Side(FireworksTuning)
    async with side.tuner() as tuner:
        with pytest.raises(InputError, match="no validation examples"):
            await tuner.arun_pipeline(PAIRS, side.base, validation_dataset=PAIRS, method="dpo")
    assert side.server.received == []


async def test_fireworks_begins_one_job_for_one_mark() -> None:
    side = Side(FireworksTuning)
    async with side.tuner() as tuner:
        assert await begun(tuner, side.base, "racto-1") == await begun(tuner, side.base, "racto-1")
    assert len(side.server.jobs) == 1


async def test_keys_of_the_gemini_developer_api_are_refused() -> None:
    tuner = GeminiFineTuner("AIzaNotARealKey", project="p", bucket="b", base_url="http://127.0.0.1:9/v1")
    with pytest.raises(ConfigError, match="no tuning any more"):
        await tuner.arun_pipeline(TRAINING)


async def test_vertex_ai_is_asked_with_the_application_default_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service account's key is exchanged for a token, once, and the token is what Vertex AI and Cloud Storage see."""
    side = Side(GeminiTuning)
    async with side.server.running() as base:
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        about = {"type": "service_account", "client_email": "tuner@my-project.iam", "token_uri": f"{base}/v1/token"}
        file = tmp_path / "account.json"
        file.write_text(json.dumps({**about, "private_key": private.decode(), "project_id": "my-project"}))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
        tuner = GeminiFineTuner(**{**side.server.options(base), "api_key": None}, sleep=side.naps)
        assert await tuner.arun_pipeline(TRAINING, side.base) == MODEL
        await tuner.aclose()
    first, *others = side.server.received
    assert first.path == "/v1/token"
    assert {each.headers["authorization"] for each in others if each.path != "/v1/token"} == {"Bearer ya29.token"}


async def test_without_google_credentials_it_says_how_to_get_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    side = Side(GeminiTuning)
    async with side.server.running() as base:
        tuner = GeminiFineTuner(**{**side.server.options(base), "api_key": None})
        with pytest.raises(RactoGatewayAuthError, match="gcloud auth"):
            await tuner.arun_pipeline(TRAINING, side.base)
        await tuner.aclose()
    assert side.server.received == []


@pytest.mark.parametrize(
    ("missing", "variable"), [("project", "GOOGLE_CLOUD_PROJECT"), ("bucket", "GOOGLE_CLOUD_BUCKET")]
)
async def test_vertex_ai_says_which_setting_is_missing(
    missing: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(variable, raising=False)
    side = Side(GeminiTuning)
    async with side.server.running() as base:
        tuner = GeminiFineTuner(**{**side.server.options(base), missing: None})
        with pytest.raises(ConfigError, match=variable):
            await tuner.arun_pipeline(TRAINING)
        await tuner.aclose()
    assert not side.server.jobs


async def test_a_tuned_model_of_vertex_ai_can_be_looked_at_and_deleted() -> None:
    side = Side(GeminiTuning)
    async with side.tuner() as tuner:
        job_id = await begun(tuner, side.base)
        assert (await tuner.aget_model(job_id))["name"] == job_id
        await tuner.adelete_model(job_id)
    assert (side.server.received[-1].method, side.server.received[-1].path) == ("DELETE", f"/v1/{job_id}")


EMPTY = hashlib.sha256(b"").hexdigest()
S3_KEY = AWSCredentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
IAM_KEY = AWSCredentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
S3_DAY = datetime(2013, 5, 24, tzinfo=UTC)
IAM_DAY = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)


@pytest.mark.parametrize(
    ("method", "url", "headers", "content", "service", "signature"),
    [
        (
            "GET",
            "https://examplebucket.s3.amazonaws.com/test.txt",
            {"Range": "bytes=0-9"},
            EMPTY,
            "s3",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            "PUT",
            "https://examplebucket.s3.amazonaws.com/test%24file.text",
            {"Date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
            hashlib.sha256(b"Welcome to Amazon S3.").hexdigest(),
            "s3",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            "GET",
            "https://example.amazonaws.com/",
            {},
            EMPTY,
            "service",
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            "GET",
            "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08",
            {"content-type": "application/x-www-form-urlencoded; charset=utf-8"},
            EMPTY,
            "iam",
            "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
        ),
    ],
)
async def test_requests_are_signed_as_the_examples_of_aws(
    method: str, url: str, headers: dict[str, str], content: str, service: str, signature: str
) -> None:
    credentials, at = (S3_KEY, S3_DAY) if service == "s3" else (IAM_KEY, IAM_DAY)
    told = signed(method, url, headers, content, credentials=credentials, region="us-east-1", service=service, at=at)
    assert told["authorization"].endswith(f"Signature={signature}")
    assert credentials.secret_key not in json.dumps(told) + repr(credentials)


async def test_without_aws_credentials_it_says_how_to_get_some(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(variable, raising=False)
    side = Side(BedrockTuning)
    async with side.server.running() as base:
        tuner = BedrockFineTuner(**{**side.server.options(base), "credentials": None})
        with pytest.raises(RactoGatewayAuthError, match="AWS_ACCESS_KEY_ID"):
            await tuner.aupload_dataset(TRAINING)
        await tuner.aclose()
    assert side.server.received == []


async def test_credentials_of_the_environment_are_signed_with(monkeypatch: pytest.MonkeyPatch) -> None:
    side = Side(BedrockTuning)
    async with side.server.running() as base:
        options = side.server.options(base)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", options["credentials"].access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", options["credentials"].secret_key)
        monkeypatch.setenv("AWS_SESSION_TOKEN", "a session")
        tuner = BedrockFineTuner(**{**options, "credentials": None})
        await tuner.aupload_dataset(TRAINING)
        await tuner.aclose()
    assert side.server.received[0].headers["x-amz-security-token"] == "a session"
    assert "x-amz-security-token" in side.server.received[0].headers["authorization"]
