"""The names by which Slack hands back what a person did: actions, callbacks, blocks."""

# buttons; their value is the request's id, but for EXTEND: `id/number of the extension`
APPROVE = "approve"
REJECT = "reject"
CANCEL = "cancel"
EXTEND = "extend"
RETURN = "return"
AGAIN = "request_again"
CREDENTIALS = "credentials"
SAVED = "credentials_saved"  # in the credentials' modal; the value is the account's id
RESET = "credentials_reset"  # the same
REQUEST_ACCESS = "request_access"  # opens an empty request modal

# modals (callback ids); private_metadata of the last two is the request's id
REQUEST_MODAL = "request"
APPROVE_MODAL = "approve"
REJECT_MODAL = "reject"

# inputs: block id and action id are the same, but where what stood there before would be wrong:
# for DURATION, PERMISSION and FLOW (see request_modal)
RESOURCE = "resource"
PERMISSION = "permission"
FLOW = "flow"
DURATION = "duration"
JUSTIFICATION = "justification"
REASON = "reason"
SHORTER = "shorter"
KEEP = "keep_extensions"
