package emulator

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
)

// A Fault is an error as a service answers it.
type Fault struct {
	Code    string
	Message string
	Status  int // HTTP; 0: 400
}

// Error returns code and message.
func (f *Fault) Error() string { return f.Code + ": " + f.Message }

func (f *Fault) status() int {
	if f.Status == 0 {
		return http.StatusBadRequest
	}
	return f.Status
}

// fault returns a Fault of status 400.
func fault(code, format string, args ...any) *Fault {
	return &Fault{Code: code, Message: fmt.Sprintf(format, args...)}
}

// notModeled answers what AWS knows and this package does not. It has a status
// that the SDK does not try again.
func notModeled(operation, what string) *Fault {
	return &Fault{Code: "NotModelled", Status: http.StatusNotImplemented,
		Message: fmt.Sprintf("The emulated account does not model %s of %s. The real service may well do.", what, operation)}
}

// A dialect is how services of one protocol speak of trouble.
type dialect struct {
	troubles  map[trouble]Fault
	denied    Fault
	throttled Fault
	write     func(w http.ResponseWriter, f *Fault, request string)
}

// https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html
var queryDialect = &dialect{
	troubles: map[trouble]Fault{
		unknownKey:   {"InvalidClientTokenId", "The security token included in the request is invalid.", 403},
		badSignature: {"SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.", 403},
		badDigest:    {"SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.", 403},
		badToken:     {"InvalidClientTokenId", "The security token included in the request is invalid.", 403},
		expired:      {"ExpiredToken", "The security token included in the request is expired", 403},
		skewed:       {"SignatureDoesNotMatch", "Signature expired or not yet current.", 403},
	},
	denied:    Fault{"AccessDenied", "", 403},
	throttled: Fault{"Throttling", "Rate exceeded", 400},
	write: func(w http.ResponseWriter, f *Fault, request string) {
		type e struct {
			Type, Code, Message string
		}
		writeXML(w, f.status(), "ErrorResponse", struct {
			Error     e
			RequestID string `xml:"RequestId"`
		}{e{"Sender", f.Code, f.Message}, request})
	},
}

// https://docs.aws.amazon.com/secretsmanager/latest/apireference/CommonErrors.html
var jsonDialect = &dialect{
	troubles: map[trouble]Fault{
		unknownKey:   {"UnrecognizedClientException", "The security token included in the request is invalid.", 400},
		badSignature: {"InvalidSignatureException", "The request signature we calculated does not match the signature you provided.", 400},
		badDigest:    {"InvalidSignatureException", "The request signature we calculated does not match the signature you provided.", 400},
		badToken:     {"UnrecognizedClientException", "The security token included in the request is invalid.", 400},
		expired:      {"ExpiredTokenException", "The security token included in the request is expired", 400},
		skewed:       {"InvalidSignatureException", "Signature expired or not yet current.", 400},
	},
	denied:    Fault{"AccessDeniedException", "", 400},
	throttled: Fault{"ThrottlingException", "Rate exceeded", 400},
	write: func(w http.ResponseWriter, f *Fault, _ string) {
		w.Header().Set("X-Amzn-Errortype", f.Code)
		writeJSON(w, f.status(), map[string]string{"__type": f.Code, "message": f.Message})
	},
}

// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
var s3Dialect = &dialect{
	troubles: map[trouble]Fault{
		unknownKey:   {"InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.", 403},
		badSignature: {"SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.", 403},
		badDigest:    {"XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed.", 400},
		badToken:     {"InvalidToken", "The provided token is malformed or otherwise invalid.", 400},
		expired:      {"ExpiredToken", "The provided token has expired.", 400},
		skewed:       {"RequestTimeTooSkewed", "The difference between the request time and the current time is too large.", 403},
	},
	denied:    Fault{"AccessDenied", "Access Denied", 403},
	throttled: Fault{"SlowDown", "Please reduce your request rate.", 503},
	write: func(w http.ResponseWriter, f *Fault, request string) {
		writeXML(w, f.status(), "Error", struct {
			Code, Message string
			RequestID     string `xml:"RequestId"`
		}{f.Code, f.Message, request})
	},
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller has gone; nobody is left to tell
}

// writeXML answers v as the element name.
func writeXML(w http.ResponseWriter, status int, name string, v any) {
	b, err := marshalElement(name, v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	_, _ = w.Write(append([]byte(xml.Header), b...))
}
