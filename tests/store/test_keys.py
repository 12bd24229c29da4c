from fhir_server.store import keys


def test_the_same_value_has_the_same_key_and_tenants_share_none() -> None:
    for value in ("final", "x" * 10_000):
        key = keys.value_key("t1", "status", value)
        assert key == keys.value_key("t1", "status", value)
        assert key != keys.value_key("t2", "status", value)
        assert key != keys.value_key("t1", "category", value)


def test_a_long_value_does_not_stay_in_memory() -> None:
    before = keys._remembered.cache_info().currsize
    keys.value_key("t1", "status", "x" * 10_000)
    keys.resource_key("t1", "urn:" + "x" * 10_000)
    assert keys._remembered.cache_info().currsize == before
