"""The local development key: private, made once, and of no use in production."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fhir_server.http.auth import Authenticator, AuthSettings, DevelopmentKeyError, mint
from fhir_server.http.auth.devkey import FILE_NAME, ISSUER, load_or_create
from fhir_server.problems import Problem
from tests.auth.conftest import Make
from tests.auth.issuer import Issuer


@pytest.fixture
def settings(tmp_path: Path) -> AuthSettings:
    return AuthSettings(data_dir=tmp_path / "data")


async def test_minted_token_is_taken(settings: AuthSettings) -> None:
    token = mint(
        settings,
        tenant="demo",
        sub="usr_amina",
        roles=["DOCTOR"],
        scope="messaging:read user/*.rs",
        patient="pat_zahra",
        modules=["engage.messaging"],
    )
    ctx = await Authenticator(settings).context(f"Bearer {token}", "fhir")
    assert (ctx.tenant, ctx.user, ctx.patient) == ("demo", "Practitioner/amina", "Patient/zahra")
    assert ctx.scopes == {"messaging:read", "user/*.rs"}
    assert (set(ctx.roles), set(ctx.modules)) == ({"DOCTOR"}, {"engage.messaging"})


def test_key_file_is_private_and_kept(settings: AuthSettings) -> None:
    first = load_or_create(settings.data_dir)
    path = settings.data_dir / FILE_NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_create(settings.data_dir).as_dict() == first.as_dict()
    assert [entry.name for entry in settings.data_dir.iterdir()] == [FILE_NAME]


def test_key_file_open_to_others_is_refused(settings: AuthSettings) -> None:
    load_or_create(settings.data_dir)
    (settings.data_dir / FILE_NAME).chmod(0o644)
    with pytest.raises(DevelopmentKeyError, match="chmod 600"):
        Authenticator(settings)


@pytest.mark.parametrize("text", ["", "{}", "[]", "{", '{"kty":"oct","k":"c2VjcmV0","kid":"k"}'])
def test_spoilt_key_file_is_refused(text: str, settings: AuthSettings) -> None:
    load_or_create(settings.data_dir)
    (settings.data_dir / FILE_NAME).write_text(text)
    with pytest.raises(DevelopmentKeyError, match="delete it"):
        load_or_create(settings.data_dir)


def test_processes_that_start_together_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: load_or_create(tmp_path).kid, range(8)))
    assert len(set(found)) == 1


async def test_production_refuses_the_development_key(tmp_path: Path) -> None:
    token = mint(AuthSettings(data_dir=tmp_path), tenant="demo", sub="usr_amina")
    production = AuthSettings(
        environment="production",
        data_dir=tmp_path,
        oidc_issuer="https://id.example/realms/clinic",
        oidc_audience="fhir-server",
    )
    with pytest.raises(DevelopmentKeyError, match="production"):
        mint(production, tenant="demo", sub="usr_amina")
    with pytest.raises(Problem) as refused:
        await Authenticator(production).context(f"Bearer {token}", "fhir")
    assert refused.value.status == 401


def test_production_makes_no_key_file(tmp_path: Path) -> None:
    Authenticator(
        AuthSettings(
            environment="production",
            data_dir=tmp_path,
            oidc_issuer="https://id.example",
            oidc_audience="fhir-server",
        )
    )
    assert not list(tmp_path.iterdir())


async def test_both_sources_of_tokens_serve_in_development(issuer: Issuer, make: Make) -> None:
    authenticator = make()
    token = mint(authenticator._settings, tenant="demo", sub="usr_farid")
    assert (await authenticator.context(f"Bearer {token}", "v1")).subject == "usr_farid"
    assert (await authenticator.context(issuer.bearer(), "v1")).subject == "usr_amina"


async def test_development_key_may_not_speak_for_the_issuer(
    issuer: Issuer, make: Make, tmp_path: Path
) -> None:
    authenticator, key = make(), load_or_create(tmp_path)
    for claimed in (issuer.url, ISSUER + "2"):
        with pytest.raises(Problem):
            await authenticator.context(issuer.bearer(key=key, iss=claimed), "fhir")
    assert (
        await authenticator.context(issuer.bearer(key=key, iss=ISSUER), "fhir")
    ).tenant == "demo"
