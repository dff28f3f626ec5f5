package credentials

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// AWS is an [Authorizer] that signs requests by AWS's Signature Version 4. The
// credentials are looked up at the first request, and renewed before they end.
// It prints nothing of them. It is safe for concurrent use.
type AWS struct {
	region, service string
	from            AWSSource
	signer          *v4.Signer
	now             func() time.Time
	skew            atomic.Int64 // how far the server's clock is ahead, in nanoseconds

	mu       sync.Mutex
	provider *aws.CredentialsCache // nil: not looked up yet
	last     aws.Credentials
	since    time.Time // when last was first used
}

// AWSSource says where AWS's credentials come from. The zero value is AWS's own
// search: the environment, the shared files, a web identity, a container's or a
// machine's role.
type AWSSource struct {
	Key, Secret, Session string // an access key, and the session's token where it has one
	Profile              string // of the shared files

	// Role is the ARN of a role that is assumed with what the others give.
	Role, RoleSession, ExternalID string

	// Transport calls the server that gives roles. nil: Go's usual one.
	Transport http.RoundTripper
}

// AWSSettings reads the source from settings of LiteLLM's names. The error names
// the one that is missing.
func AWSSettings(settings map[string]string, transport http.RoundTripper) (AWSSource, error) {
	s := AWSSource{
		Key: settings["aws_access_key_id"], Secret: settings["aws_secret_access_key"], Session: settings["aws_session_token"],
		Profile: settings["aws_profile_name"],
		Role:    settings["aws_role_name"], RoleSession: settings["aws_session_name"], ExternalID: settings["aws_external_id"],
		Transport: transport,
	}
	switch {
	case s.Key != "" && s.Secret == "":
		return s, errors.New("aws_access_key_id is set, and aws_secret_access_key is not")
	case s.Key == "" && s.Secret != "":
		return s, errors.New("aws_secret_access_key is set, and aws_access_key_id is not")
	}
	return s, nil
}

// NewAWS returns an AWS for a service in a region. It makes no call.
func NewAWS(service, region string, from AWSSource) *AWS {
	return &AWS{region: region, service: service, from: from, signer: v4.NewSigner(), now: time.Now}
}

// SetClock has signatures made by another clock. It is called before the first.
func (a *AWS) SetClock(now func() time.Time) { a.now = now }

// Format prints the service for every verb.
func (a *AWS) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "AWS signature for %s in %s", a.service, a.region)
}

// Authorize signs req: its method, its address, Content-Type and body. Other
// headers are not signed.
func (a *AWS) Authorize(ctx context.Context, req *http.Request, body []byte) error {
	c, err := a.credentials(ctx)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	address := *req.URL // the signer writes into it
	signed := &http.Request{Method: req.Method, URL: &address, Host: req.Host, Header: http.Header{}}
	if kind := req.Header.Get("Content-Type"); kind != "" {
		signed.Header.Set("Content-Type", kind)
	}
	at := a.now().Add(time.Duration(a.skew.Load()))
	if err := a.signer.SignHTTP(ctx, c, signed, hex.EncodeToString(sum[:]), a.service, a.region, at); err != nil {
		return fmt.Errorf("the request cannot be signed: %w", err)
	}
	for _, name := range [...]string{"Authorization", "X-Amz-Date", "X-Amz-Security-Token"} {
		if value := signed.Header.Get(name); value != "" {
			req.Header.Set(name, value)
		}
	}
	return nil
}

// leastSkew is a difference between two clocks that is worth another signature:
// AWS takes five minutes.
const leastSkew = time.Minute

// Renew deals with a refusal, by the name of AWS's exception and the answer's
// Date: of credentials that have ended it has the next call fetch new ones, and of
// a signature whose time is wrong it goes by the server's clock from now on. It
// reports whether the request is worth another try at once.
func (a *AWS) Renew(exception, date string) bool {
	switch exception {
	case "ExpiredTokenException", "ExpiredToken":
		return a.fetchAgain()
	case "InvalidSignatureException", "RequestExpired", "RequestTimeTooSkewed":
		return a.adjust(date)
	}
	return false
}

func (a *AWS) adjust(date string) bool {
	at, err := http.ParseTime(date)
	if err != nil {
		return false
	}
	skew := at.Sub(a.now())
	before := time.Duration(a.skew.Swap(int64(skew)))
	return (skew - before).Abs() >= leastSkew
}

// fetchAgain reports false for credentials that are seconds old, or that do not
// change.
func (a *AWS) fetchAgain() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.provider == nil || a.from.Key != "" && a.from.Role == "" || time.Since(a.since) < leastAge {
		return false
	}
	a.provider.Invalidate()
	return true
}

// Secrets are what a server might repeat.
func (a *AWS) Secrets() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return []string{a.last.SecretAccessKey, a.last.SessionToken}
}

func (a *AWS) credentials(ctx context.Context) (aws.Credentials, error) {
	provider, err := a.load(ctx)
	if err != nil {
		return aws.Credentials{}, err
	}
	c, err := provider.Retrieve(ctx)
	if err != nil {
		return c, awsError(err)
	}
	a.mu.Lock()
	if a.last.SecretAccessKey != c.SecretAccessKey || a.last.SessionToken != c.SessionToken {
		a.last, a.since = c, time.Now()
	}
	a.mu.Unlock()
	return c, nil
}

// load finds out where the credentials come from. It reads files, and calls
// nobody.
func (a *AWS) load(ctx context.Context) (*aws.CredentialsCache, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.provider != nil {
		return a.provider, nil
	}
	from := &a.from
	var base aws.CredentialsProvider
	var loaded aws.Config
	if from.Key != "" {
		static := aws.Credentials{AccessKeyID: from.Key, SecretAccessKey: from.Secret, SessionToken: from.Session, Source: "settings"}
		base = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return static, nil })
		loaded = aws.Config{Region: a.region, Credentials: base}
	} else {
		var err error
		loaded, err = config.LoadDefaultConfig(ctx, config.WithRegion(a.region), config.WithSharedConfigProfile(from.Profile))
		if err != nil {
			return nil, fmt.Errorf("no credentials of AWS's: %w: see aws_profile_name and the shared files", err)
		}
		base = loaded.Credentials
	}
	if from.Role != "" {
		client := sts.NewFromConfig(loaded, func(o *sts.Options) {
			if from.Transport != nil {
				o.HTTPClient = &http.Client{Transport: from.Transport}
			}
		})
		base = stscreds.NewAssumeRoleProvider(client, from.Role, func(o *stscreds.AssumeRoleOptions) {
			if o.RoleSessionName = from.RoleSession; o.RoleSessionName == "" {
				o.RoleSessionName = "pelton"
			}
			if from.ExternalID != "" {
				o.ExternalID = &from.ExternalID
			}
		})
	}
	a.provider = aws.NewCredentialsCache(base, func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = earlyRenewal })
	return a.provider, nil
}

// awsError says why there are no credentials, and what to do.
func awsError(err error) error {
	var unsent *smithyhttp.RequestSendError
	var refused *smithyhttp.ResponseError
	switch {
	case errors.As(err, &refused) && refused.HTTPStatusCode() >= 500, errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %s", ErrUnreachable, reason(err))
	case errors.As(err, &refused):
		return fmt.Errorf("AWS refused to give credentials: %s: see aws_role_name, and what the role trusts", reason(err))
	case errors.As(err, &unsent):
		return fmt.Errorf("%w: %s", ErrUnreachable, reason(err))
	}
	return fmt.Errorf("no credentials of AWS's: %s: set aws_access_key_id and aws_secret_access_key, aws_profile_name, or api_key to a key of Bedrock's", reason(err))
}
