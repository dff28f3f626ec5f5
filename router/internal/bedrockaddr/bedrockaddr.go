// Package bedrockaddr says where a model on Amazon Bedrock is asked, and what
// proves who asks, for all protocols that Bedrock speaks.
package bedrockaddr

import (
	"errors"
	"fmt"
	"strings"

	"pelton/router/credentials"
	"pelton/router/internal/lazyregexp"
	"pelton/router/protocol"
)

// Address is where the models of a deployment are asked.
type Address struct {
	Host   string // with its scheme, without a slash at its end
	Region string
	model  string // as configured
	id     string // in the place of that model's own; empty: none
}

// Of reads the address from a deployment. The model is an id, an inference
// profile or an ARN, with LiteLLM's prefixes (converse/, invoke/, a region) or
// without; the setting model_id replaces it in the address. The region is the
// ARN's, else the setting aws_region_name, else the one before the model's name; a
// base URL, or aws_bedrock_runtime_endpoint, replaces the host alone.
func Of(u protocol.Upstream) (Address, error) {
	a := Address{model: u.Model, id: u.Settings["model_id"]}
	id, region := split(u.Model)
	for _, named := range []string{u.Settings["aws_region_name"], arnRegion(id), arnRegion(a.id)} {
		if named != "" {
			region = named
		}
	}
	a.Region = region
	for _, host := range []string{u.Settings["aws_bedrock_runtime_endpoint"], u.BaseURL} {
		if host != "" {
			a.Host = strings.TrimRight(host, "/")
		}
	}
	if a.Host == "" || region != "" {
		if err := CheckRegion(region); err != nil {
			return a, err
		}
	}
	if a.Host == "" {
		a.Host = "https://bedrock-runtime." + region + "." + domain(region)
	}
	return a, nil
}

// ID is what stands for a model in its address: its name without LiteLLM's
// prefixes, or model_id. It is not escaped.
func (a Address) ID(name string) string {
	if a.id != "" && name == a.model {
		return a.id
	}
	id, _ := split(name)
	return id
}

// Authorizer is what proves to a service of AWS's who asks: a token, a key of
// Bedrock's as a bearer, or a signature by what [credentials.AWSSettings] finds.
func Authorizer(u protocol.Upstream, service, region string) (credentials.Authorizer, error) {
	switch {
	case u.Token != nil:
		return credentials.Token(u.Token), nil
	case u.Key != "":
		return credentials.Bearer(u.Key), nil
	}
	if err := CheckRegion(region); err != nil { // it is part of a signature
		return nil, err
	}
	from, err := credentials.AWSSettings(u.Settings, u.Transport)
	if err != nil {
		return nil, err
	}
	return credentials.NewAWS(service, region, from), nil
}

// regionName is what a region of AWS's is called, of any partition.
var regionName = lazyregexp.New(`^[a-z]{2,4}(-[a-z]+)+-\d+$`)

// CheckRegion says what is wrong with a region's name.
func CheckRegion(region string) error {
	switch {
	case region == "":
		return errors.New("no region: set aws_region_name, such as us-east-1")
	case !regionName.Get().MatchString(region):
		return fmt.Errorf("aws_region_name: %q is no region: write one such as us-east-1", region)
	}
	return nil
}

// split takes LiteLLM's prefixes from a model's name.
func split(name string) (id, region string) {
	for {
		before, after, ok := strings.Cut(name, "/")
		switch {
		case ok && (before == "converse" || before == "invoke"):
		case ok && regionName.Get().MatchString(before):
			region = before
		default:
			return name, region
		}
		name = after
	}
}

// arnRegion is the region in an ARN; empty for another name.
func arnRegion(id string) string {
	if parts := strings.SplitN(id, ":", 5); len(parts) == 5 && parts[0] == "arn" {
		return parts[3]
	}
	return ""
}

// domain is where a region's servers are.
func domain(region string) string {
	if strings.HasPrefix(region, "cn-") {
		return "amazonaws.com.cn"
	}
	return "amazonaws.com"
}
