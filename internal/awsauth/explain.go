package awsauth

import (
	"context"
	"errors"
	"strings"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	ops "github.com/Sage-Bionetworks/synapse-ops-core"
)

// Explain puts an error of the SDK into our words: what we were doing, what AWS
// said, what to do. nil stays nil; an error of ours and the end of a context stay
// what they are. Request IDs and account-side text that AWS adds are kept in the
// cause only.
func Explain(doing string, err error) error {
	if err == nil {
		return nil
	}
	if own, ok := errors.AsType[*ops.Error](err); ok {
		return &ops.Error{Code: own.Code, Message: doing + ": " + own.Message, Hint: own.Hint, Err: err}
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return &ops.Error{Code: ops.CodeOf(err), Message: doing + ": " + strings.TrimSuffix(endOf(err), ".") + ".", Err: err}
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return explainAPI(doing, api, err)
	}
	return explainRest(doing, err)
}

func endOf(err error) string {
	if errors.Is(err, context.Canceled) {
		return "was canceled"
	}
	return "AWS did not answer in time"
}

func explainAPI(doing string, api smithy.APIError, err error) error {
	kind := kindOf(api.ErrorCode())
	return &ops.Error{
		Code:    kind.code,
		Message: doing + ": AWS answers " + ops.Clip(api.ErrorCode()) + ": " + clean(api.ErrorMessage()),
		Hint:    kind.hint, Err: err,
	}
}

// CodeOfAPI is the code AWS answered with, such as ValidationError, "" for an error
// that is no answer of AWS.
func CodeOfAPI(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return ""
}

type kind struct {
	code ops.Code
	hint string
}

// kinds sorts AWS's error codes, by what they hold.
var kinds = []struct {
	parts []string
	kind
}{
	{[]string{"AccessDenied", "Unauthorized", "AuthorizationError", "NotAuthorized", "Forbidden"}, kind{ops.Denied, "The role lacks this permission, or a policy denies it. synops doctor tells which roles are not as deployed."}},
	{[]string{"ExpiredToken", "RequestExpired", "InvalidClientTokenId", "UnrecognizedClient", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidIdentityToken", "IDPRejectedClaim", "MissingAuthenticationToken", "IncompleteSignature"},
		kind{ops.Denied, "The credentials are not taken: sign in again, and compare this machine's clock with the time."}},
	{[]string{"Throttl", "TooManyRequests", "RequestLimitExceeded", "SlowDown", "ServiceUnavailable", "InternalFailure", "InternalError", "InternalServiceError", "InternalServerError", "RequestTimeout"}, kind{ops.Unavailable, "Try again in a minute."}},
	{[]string{"NotFound", "NoSuch", "DoesNotExist"}, kind{ops.NotFound, ""}},
	{[]string{"AlreadyExists", "Conflict", "EntityExists", "InProgress", "ConcurrentModification", "PreconditionFailed", "LimitExceeded"}, kind{ops.Conflict, ""}},
	{[]string{"NotModelled", "Validation", "InvalidParameter", "Malformed", "InvalidRequest"}, kind{ops.Internal, ""}},
}

func kindOf(code string) kind {
	for _, k := range kinds {
		for _, part := range k.parts {
			if strings.Contains(code, part) {
				return k.kind
			}
		}
	}
	return kind{code: ops.Internal}
}

// explainRest is for what is no answer of AWS: no credentials, no connection.
func explainRest(doing string, err error) error {
	e := &ops.Error{Code: ops.Unavailable, Message: doing + ": AWS cannot be reached: " + oneLine(last(err)) + ".", Hint: "Check the network, and AWS_ENDPOINT_URL if it is set.", Err: err}
	switch {
	case lacksCredentials(err):
		e.Code, e.Message, e.Hint = ops.Denied, doing+": this process has no AWS credentials.", "Sign in (aws sso login, or AWS_PROFILE); in Actions grant id-token: write and set ROLE_TO_ASSUME."
	case strings.Contains(strings.ToLower(err.Error()), "missing region"):
		e.Code, e.Message, e.Hint = ops.Invalid, doing+": no AWS region is known.", "Set region in the environments file."
	}
	return e
}

// lacksCredentials tells whether the default chain found nothing: the SDK has no
// type for it. Whoever has some and cannot renew them for want of a connection lacks
// that.
func lacksCredentials(err error) bool {
	text := err.Error()
	if strings.Contains(text, "no EC2 IMDS role found") {
		return true
	}
	if _, cut := errors.AsType[*smithyhttp.RequestSendError](err); cut {
		return false
	}
	return strings.Contains(text, "failed to refresh cached credentials") || strings.Contains(text, "get identity: ")
}

// last is the innermost cause: the layers above it are the SDK's.
func last(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// clean ends what AWS said with a full stop, and bounds it.
func clean(s string) string {
	s = oneLine(errors.New(s))
	if s == "" {
		return "(it says no more)."
	}
	return strings.TrimSuffix(s, ".") + "."
}

// oneLine renders an error from outside for a message.
func oneLine(err error) string {
	s := strings.Join(strings.Fields(err.Error()), " ")
	if r := []rune(s); len(r) > 400 {
		s = string(r[:400]) + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}
