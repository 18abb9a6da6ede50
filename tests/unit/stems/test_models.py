"""The models that clients can choose, by the registry and the settings."""

from serve_app.separation.licences import BY_MODEL
from serve_app.separation.models import FOR_LOAD_TESTS, REGISTRY
from serve_app.stems.models import model_infos


def test_without_auto_the_registry_is_offered_with_its_licences() -> None:
    infos = model_infos("demo")
    assert [info.name for info in infos] == list(REGISTRY)
    for info in infos:
        assert info.licences == BY_MODEL[info.name]
        assert info.licence == str(BY_MODEL[info.name])
        assert info.refusal is None


def test_auto_claims_no_licence_while_it_may_be_one_of_several() -> None:
    auto = model_infos("auto")[0]
    assert auto.name == "auto"
    assert auto.licences is None
    for text in (auto.licence, auto.trained_on, auto.description):
        assert "hdemucs_high_musdb_plus or demo" in text


def test_where_only_permissive_weights_are_allowed_the_others_are_refused() -> None:
    infos = {info.name: info for info in model_infos("auto", "permissive")}
    served = [name for name, info in infos.items() if info.refusal is None]
    assert served == ["auto", "demo"]
    assert infos["auto"].licences == BY_MODEL["demo"]
    assert infos["auto"].trained_on == REGISTRY["demo"].trained_on
    for name in set(REGISTRY) - {"demo"}:
        assert "STEMSERVE_ALLOWED_LICENCES" in str(infos[name].refusal)


def test_the_model_for_load_tests_is_offered_only_as_the_default() -> None:
    name = FOR_LOAD_TESTS.name
    assert name not in [info.name for info in model_infos("auto")]
    assert name in [info.name for info in model_infos(name)]
