"""The errors of model calls under the name the specification gives their module; the whole tree is in `racto.knowledge.errors`."""

from racto.knowledge.errors import (
    RactoGatewayAPIError,
    RactoGatewayAuthError,
    RactoGatewayError,
    RactoGatewayTimeoutError,
    ResponseModelValidationError,
)

__all__ = [
    "RactoGatewayAPIError",
    "RactoGatewayAuthError",
    "RactoGatewayError",
    "RactoGatewayTimeoutError",
    "ResponseModelValidationError",
]
