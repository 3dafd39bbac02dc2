"""The names by which Slack hands back what a person did: actions, callbacks, blocks."""

from engine.request import LARGEST_ID, RequestId

# buttons; their value is the request's id, but for EXTEND (`id/number of the extension`) and ANSWER
APPROVE = "approve"
REJECT = "reject"
WITHDRAW = "withdraw_approval"
MORE = "more"  # what helps to decide
NUDGE = "nudge"
ASK = "ask_question"
ANSWER = "answer"  # the value is `id/number of the question`
QUESTIONS = "questions"  # lists them
CHANGE = "change_request"
CANCEL = "cancel"
EXTEND = "extend"
RETURN = "return"
RETURN_SOME = "return_some"  # opens a form
AGAIN = "request_again"
MORE_TIME = "more_time"  # opens the form, filled in with what runs and cannot be extended
SHOW = "show_request"
ENDLESS = "endless"  # an administrator's list of what runs without end
CREDENTIALS = "credentials"
SAVED = "credentials_saved"  # in the credentials' modal; the value is the account's id
RESET = "credentials_reset"  # the same
REQUEST_ACCESS = "request_access"  # opens an empty request modal
WHOLE = "whole_request"  # in an approver's form; the value is the metadata of the one that follows
CATALOG_NEXT = "catalog_next"  # the value is the last one shown, and its number
CATALOG_START = "catalog_start"
WHY_ABOUT = "why_about"  # of several things, one; the value is it, and what was asked
WISH = "wish"  # tells the administrators; the value is the resource, and what was asked
DELEGATE = "delegate"  # opens a form
END_DELEGATION = "end_delegation"  # the value is its number
OF_A_REQUEST = frozenset(  # their value begins with its id
    {
        APPROVE,
        REJECT,
        WITHDRAW,
        MORE,
        NUDGE,
        ASK,
        ANSWER,
        QUESTIONS,
        CANCEL,
        CHANGE,
        EXTEND,
        RETURN,
        RETURN_SOME,
        AGAIN,
        SHOW,
        CREDENTIALS,
        WHOLE,
    }
)

# modals (callback ids); private_metadata is the query, the button's value, or the
# request's id of the last ones, with a word where it says everything
CATALOG_MODAL = "catalog"
WHY_MODAL = "why"
WISH_MODAL = "wish"
DELEGATE_MODAL = "delegate"
REQUEST_MODAL = "request"
APPROVE_MODAL = "approve"
REJECT_MODAL = "reject"
END_MODAL = "end_request"
RETURN_MODAL = "return"
ASK_MODAL = "ask_question"
ANSWER_MODAL = "answer"
MODALS_OF_A_REQUEST = frozenset(
    {APPROVE_MODAL, REJECT_MODAL, END_MODAL, RETURN_MODAL, ASK_MODAL, ANSWER_MODAL}
)

# inputs: block id and action id are the same, but where what stood there before would be wrong:
# for RESOURCE, DURATION, PERMISSION, FLOW and START_TIME (see request_modal)
CATALOG_QUERY = "query"
WHY_WORDS = "words"
GRANTEE = "grantee"
RESOURCE = "resource"
PERMISSION = "permission"
FLOW = "flow"
DURATION = "duration"
START = "start"
START_DAY = "start_day"
START_TIME = "start_time"
JUSTIFICATION = "justification"
REASON = "reason"
PERSON = "person"
UNTIL = "until"
TEXT = "text"  # of a question, or an answer

BUNDLE = "bundle/"  # begins the value of a bundle among the resources; its number follows
SHORTER = "shorter"
KEEP = "keep_extensions"
FIRST = "first"  # the request waits for the answer
THINGS = "things"  # what is approved, or returned, each ticked; the value is the grant's number
LEAVE_OUT = "leave_out"  # where they are too many for that: what is not approved
ALSO = "also"  # ends the other requests too, by which some of it would stay
KEEP_THINGS = "keep_things"  # the same: what is not returned


def request_id(value: str) -> RequestId:
    """Read the request's id from a button's value or a modal's metadata; 0 is no request's."""
    return RequestId(number(value.split("/", maxsplit=1)[0]))


def second_number(value: str) -> int:
    """Read what follows the request's id: of which extension, or question, it is; 0 is none."""
    return number(value.partition("/")[2])


def number(text: str) -> int:
    """Read an id, or a count. What is none, or larger than any, is 0."""
    read = int(text) if text.isdecimal() and len(text) < 16 else 0
    return read if read <= LARGEST_ID else 0
