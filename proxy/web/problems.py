"""Errors as HTTP: problem details (RFC 9457), in one place."""

from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from proxy.errors import LedgerError, ProxyError

__all__ = ["Problem", "install_problems", "problem_response"]

_MEDIA_TYPE = "application/problem+json"


class Problem(BaseModel):
    """Problem details (RFC 9457 §3.1): `type` names our code, `fix` says what to do."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""
    fix: str = ""


def problem_response(status: int, *, code: str, detail: str, fix: str = "") -> JSONResponse:
    """A problem as a response."""
    problem = Problem(
        type=f"urn:inbond:{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        fix=fix,
    )
    return JSONResponse(problem.model_dump(), status_code=status, media_type=_MEDIA_TYPE)


def install_problems(app: FastAPI) -> None:
    """Let every error of an app leave as a problem."""

    @app.exception_handler(ProxyError)
    def of_ours(_: Request, error: ProxyError) -> JSONResponse:
        status = 503 if isinstance(error, LedgerError) else 500
        return problem_response(status, code=error.code, detail=error.message, fix=error.help)

    @app.exception_handler(HTTPException)
    def of_http(_: Request, error: HTTPException) -> JSONResponse:
        response = problem_response(error.status_code, code="http", detail=str(error.detail))
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(RequestValidationError)
    def of_input(_: Request, error: RequestValidationError) -> JSONResponse:
        # What was sent is not repeated: it may hold anything.
        places = ", ".join(".".join(map(str, detail["loc"])) for detail in error.errors())
        return problem_response(422, code="bad-input", detail=f"not usable: {places}")
