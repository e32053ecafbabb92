"""AWS Signature Version 4: what a request to AWS is signed with. Two pages of HMAC need no SDK.

Source: "Create a signed AWS API request", AWS Identity and Access Management user guide.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self
from urllib.parse import parse_qsl, quote, urlsplit

from ....knowledge.errors import RactoGatewayAuthError

_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class AWSCredentials:
    """An access key; temporary ones have a session token too."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)

    @classmethod
    def of_environment(cls) -> Self:
        """Those of `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`.

        :raises RactoGatewayAuthError: they are not set.
        """
        access, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
        if not (access and secret):
            raise RactoGatewayAuthError(
                "There are no AWS credentials.",
                "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; `aws configure export-credentials --format env` tells them.",
                provider="bedrock",
            )
        return cls(access, secret, os.environ.get("AWS_SESSION_TOKEN"))


def signed(
    method: str,
    url: str,
    headers: Mapping[str, str],
    content_sha256: str,
    *,
    credentials: AWSCredentials,
    region: str,
    service: str,
    at: datetime,
) -> dict[str, str]:
    """The headers a request needs besides `headers`, `Authorization` among them.

    :param url: As it is sent, percent-encoded.
    :param headers: Those to sign; `host` is signed in any case.
    :param content_sha256: Of the body, in hexadecimal digits.
    :param at: Now, in UTC.
    """
    stamp = at.strftime("%Y%m%dT%H%M%SZ")
    added = {"x-amz-date": stamp}
    if service == "s3":
        added["x-amz-content-sha256"] = content_sha256
    if credentials.session_token:
        added["x-amz-security-token"] = credentials.session_token
    parts = urlsplit(url)
    told = {"host": parts.netloc, **headers, **added}
    lines = sorted((name.lower(), " ".join(value.split())) for name, value in told.items())
    names = ";".join(name for name, _ in lines)
    # Every service but S3 encodes the path once more.
    path = parts.path or "/"
    request = "\n".join(
        [
            method,
            path if service == "s3" else quote(path, safe="/-_.~"),
            _query(parts.query),
            *(f"{name}:{value}" for name, value in lines),
            "",
            names,
            content_sha256,
        ]
    )
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    text = "\n".join([_ALGORITHM, stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{credentials.secret_key}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    signature = _hmac(key, text).hex()
    credential = f"Credential={credentials.access_key}/{scope}"
    return {**added, "authorization": f"{_ALGORITHM} {credential}, SignedHeaders={names}, Signature={signature}"}


def _query(query: str) -> str:
    pairs = parse_qsl(query, keep_blank_values=True)
    return "&".join(sorted(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in pairs))


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
