from tests.chaos.soak import soak


def test_no_login_is_left_when_nobody_has_used_it_for_long():
    """Nothing called the connector's cleanup, and logins piled up."""
    found = soak(40)

    assert found.lives == 40
    assert len(found.made) >= 15
    assert not found.left
