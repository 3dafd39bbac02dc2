"""Submitting and deciding: one transaction writes the request and all that follows from it."""


def test_automatic_request_is_granted_at_once(stored):
    request = stored.submit()
    stored.converge()

    assert stored.again(request).state == "active"


def test_approved_request_is_granted(stored):
    request = stored.submit("write on shop.orders", "edit on handbook", flow="Writing")
    assert stored.again(request).state == "pending"
    stored.approve(request)
    stored.converge()
    stored.send()

    assert stored.again(request).state == "active"
