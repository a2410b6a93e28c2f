package emulator

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// A call is one request of a service: its sender is known and its body whole.
type call struct {
	cloud   *Cloud
	account *Account // the caller's; nil when nobody signed
	caller  *Caller
	service string // such as "logs"
	http    *http.Request
	body    []byte
	request string // this call's request ID
	dialect *dialect
}

// A service answers calls of one AWS service.
type service interface {
	dialect() *dialect
	serve(c *call, w http.ResponseWriter)
}

// mostBody is the longest body that is read; a bundle is some 20 MB.
const mostBody = 256 << 20

// ServeHTTP answers a call of any service of any account.
func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	wait(r.Context(), c.config.Latency)
	if strings.HasPrefix(r.URL.Path, "/_cloud/") {
		c.unsigned.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostBody))
	if err != nil {
		http.Error(w, "the body could not be read", http.StatusBadRequest)
		return
	}
	w = patient(w, r)
	one := &call{cloud: c, http: r, body: body, request: requestID()}
	w.Header().Set("X-Amzn-Requestid", one.request)
	w.Header().Set("Date", c.now().Format(http.TimeFormat)) // whoever compares times compares the accounts' own
	header := r.Header.Get("Authorization")
	if header == "" {
		c.serveUnsigned(one, w)
		return
	}
	auth, ok := parseAuthorization(header)
	svc := c.services[auth.service]
	if !ok || svc == nil {
		one.dialect = queryDialect
		one.refuse(w, notModeled("the Authorization header", fmt.Sprintf("%q (service %q)", firstWord(header), auth.service)))
		return
	}
	one.service, one.dialect = auth.service, svc.dialect()
	if f := one.authenticate(auth); f != nil {
		one.refuse(w, f)
		return
	}
	svc.serve(one, w)
}

// serveUnsigned answers what may be asked without a signature: a role by web
// identity, and what a bucket policy gives to everybody.
func (c *Cloud) serveUnsigned(one *call, w http.ResponseWriter) {
	one.caller = &Caller{}
	one.service, one.dialect = "s3", s3Dialect
	if form, err := url.ParseQuery(string(one.body)); err == nil && form.Get("Action") == "AssumeRoleWithWebIdentity" {
		one.service, one.dialect = "sts", queryDialect
		c.services["sts"].serve(one, w)
		return
	}
	switch {
	case one.http.Header.Get("X-Amz-Target") != "" || one.http.Method == http.MethodPost:
		one.dialect = queryDialect
		one.refuse(w, &Fault{"MissingAuthenticationToken", "Request is missing Authentication Token", 403})
	case one.http.URL.Query().Has("X-Amz-Signature"):
		one.refuse(w, notModeled("S3", "a presigned URL"))
	default:
		c.services["s3"].serve(one, w)
	}
}

// authenticate fills in who signed the call.
func (c *call) authenticate(auth authorization) *Fault {
	k, ok := c.cloud.keys.find(auth.keyID)
	what := unknownKey
	if ok {
		what = auth.verify(c.http, c.body, k, c.cloud.now())
	}
	if what != noTrouble {
		f := c.dialect.troubles[what]
		return &f
	}
	c.caller, c.account = k.caller, k.caller.Account
	if auth.region != c.account.Region && c.service != "iam" && c.service != "sts" {
		if c.service == "s3" {
			return fault("AuthorizationHeaderMalformed", "The authorization header is malformed; the region %q is wrong; expecting %q", auth.region, c.account.Region)
		}
		return notModeled(c.service, fmt.Sprintf("region %q (account %s is in %s)", auth.region, c.account.ID, c.account.Region))
	}
	return nil
}

// refuse answers err: a Fault as it is, anything else as the service's own failure.
func (c *call) refuse(w http.ResponseWriter, err error) {
	f, ok := errors.AsType[*Fault](err)
	if !ok {
		f = &Fault{"InternalFailure", err.Error(), http.StatusInternalServerError}
	}
	c.cloud.config.Log.Info("refused", "service", c.service, "code", f.Code, "message", f.Message)
	c.dialect.write(w, f, c.request)
}

func firstWord(s string) string {
	word, _, _ := strings.Cut(s, " ")
	return word
}

// An operation is one thing a service does.
type operation struct {
	// takes are the parameters that are modeled: for the query protocol the names
	// up to the first dot. JSON operations are checked by their input's type.
	takes []string
	do    func(c *call) (any, error)
}

// A jsonService speaks AWS JSON 1.1: the operation is in a header, the input an
// object.
type jsonService map[string]operation

func (jsonService) dialect() *dialect { return jsonDialect }

func (s jsonService) serve(c *call, w http.ResponseWriter) {
	_, name, _ := strings.Cut(c.http.Header.Get("X-Amz-Target"), ".")
	op, ok := s[name]
	if !ok {
		c.refuse(w, notModeled(c.service, fmt.Sprintf("operation %q", name)))
		return
	}
	answer, err := c.perform(name, op)
	if err != nil {
		c.refuse(w, err)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

// perform does the operation unless the account has used up its rate.
func (c *call) perform(name string, op operation) (any, error) {
	if c.account != nil && c.cloud.throttled(c.account, c.service, name) {
		f := c.dialect.throttled
		return nil, &f
	}
	return op.do(c)
}

// jsonOp reads the input strictly and does the operation.
func jsonOp[In, Out any](do func(*call, *In) (*Out, error)) operation {
	return operation{do: func(c *call) (any, error) {
		var in In
		dec := json.NewDecoder(bytes.NewReader(c.body))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&in); err != nil {
			_, name, _ := strings.Cut(c.http.Header.Get("X-Amz-Target"), ".")
			if what, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
				return nil, notModeled(name, "parameter "+what)
			}
			return nil, fault("SerializationException", "%v", err)
		}
		return do(c, &in)
	}}
}

// A queryService speaks the query protocol: a form in, XML out.
type queryService struct {
	namespace string
	denied    string // its code for a refused call; "" as the others
	// flat is the dialect of a service that wraps its answers in no result, as EC2.
	flat       *dialect
	operations map[string]operation
}

func (s *queryService) dialect() *dialect {
	if s.flat != nil {
		return s.flat
	}
	d := *queryDialect
	if s.denied != "" {
		d.denied.Code = s.denied
	}
	return &d
}

func (s *queryService) serve(c *call, w http.ResponseWriter) {
	form, err := url.ParseQuery(string(c.body))
	if err != nil || c.http.Method != http.MethodPost {
		c.refuse(w, fault("MalformedInput", "The body is not a form."))
		return
	}
	name := form.Get("Action")
	op, ok := s.operations[name]
	if !ok {
		c.refuse(w, notModeled(c.service, fmt.Sprintf("operation %q", name)))
		return
	}
	for _, field := range slices.Sorted(maps.Keys(form)) {
		head, _, _ := strings.Cut(field, ".")
		if head != "Action" && head != "Version" && !slices.Contains(op.takes, head) {
			c.refuse(w, notModeled(name, fmt.Sprintf("parameter %q", field)))
			return
		}
	}
	c.http.Form = form
	answer, err := c.perform(name, op)
	if err != nil {
		c.refuse(w, err)
		return
	}
	s.answer(c, w, name, answer)
}

func (s *queryService) answer(c *call, w http.ResponseWriter, name string, answer any) {
	if s.flat != nil {
		writeXML(w, http.StatusOK, name+"Response", answer)
		return
	}
	result, err := marshalElement(name+"Result", answer)
	if err != nil {
		c.refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/xml")
	_, _ = fmt.Fprintf(w, `<%sResponse xmlns="%s">%s<ResponseMetadata><RequestId>%s</RequestId></ResponseMetadata></%sResponse>`,
		name, s.namespace, result, c.request, name)
}

// marshalElement returns v as an XML element of that name; nil is an empty one.
func marshalElement(name string, v any) ([]byte, error) {
	if v == nil {
		v = struct{}{}
	}
	var b bytes.Buffer
	enc := xml.NewEncoder(&b)
	if err := enc.EncodeElement(v, xml.StartElement{Name: xml.Name{Local: name}}); err != nil {
		return nil, fmt.Errorf("writing %s: %w", name, err)
	}
	return b.Bytes(), enc.Flush()
}

// param returns a parameter of the query protocol.
func (c *call) param(name string) string { return c.http.Form.Get(name) }

// members returns a list parameter of the query protocol, in order.
func (c *call) members(name string) []string {
	var out []string
	for i := 1; c.http.Form.Has(fmt.Sprintf("%s.member.%d", name, i)); i++ {
		out = append(out, c.param(fmt.Sprintf("%s.member.%d", name, i)))
	}
	return out
}

// An epoch is a time as JSON services write it: seconds with a fraction.
type epoch time.Time

// MarshalJSON writes the time as a number.
func (e epoch) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "%.3f", float64(time.Time(e).UnixMilli())/1000), nil
}

// stamp is a time as XML services write it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
