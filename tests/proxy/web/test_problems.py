"""Tests of proxy.web.problems."""

import httpx
from fastapi import FastAPI

from proxy.web.problems import install_problems, problem_response


def test_a_problem_has_the_fields_of_the_standard() -> None:
    """Type, title, status and detail are those of RFC 9457 §3.1; `fix` is ours."""
    response = problem_response(503, code="busy", detail="locked", fix="try again")
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert bytes(response.body) == (
        b'{"type":"urn:inbond:busy","title":"Service Unavailable","status":503,'
        b'"detail":"locked","fix":"try again"}'
    )


async def test_bad_input_is_not_repeated() -> None:
    """What a caller sent wrong is named by its place, and its value is not sent back."""
    app = FastAPI()
    install_problems(app)

    @app.get("/page")
    def page(size: int) -> int:
        return size

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://h") as client:
        response = await client.get("/page", params={"size": "canary"})
    assert (response.status_code, response.json()["detail"]) == (422, "not usable: query.size")
    assert "canary" not in response.text
