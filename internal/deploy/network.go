package deploy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/awsauth"
)

// Network is what is asked of EC2.
type Network interface {
	// Subnets returns the subnets of these IDs, each with the routes that hold for it.
	Subnets(ctx context.Context, ids []string) ([]Subnet, error)
	// Endpoints returns the services that a VPC has endpoints for, such as
	// com.amazonaws.us-east-1.s3.
	Endpoints(ctx context.Context, vpc string) ([]string, error)
}

// A Subnet is what the doctor wants to know of one.
type Subnet struct {
	ID, VPC string
	// Way is where traffic to the internet goes: "nat-…", "igw-…", "tgw-…", "" when it
	// goes nowhere.
	Way string
}

// ec2 asks EC2 by its plain protocol: three calls do not want an SDK module of the
// size of all the others together.
type ec2 struct {
	config   aws.Config
	endpoint string
	client   *http.Client
}

func newNetwork(cfg aws.Config) *ec2 {
	e := &ec2{config: cfg, endpoint: aws.ToString(cfg.BaseEndpoint), client: &http.Client{Timeout: 20 * time.Second}}
	if e.endpoint == "" {
		e.endpoint = "https://ec2." + cfg.Region + ".amazonaws.com"
	}
	return e
}

func (e *ec2) Subnets(ctx context.Context, ids []string) ([]Subnet, error) {
	q := url.Values{}
	for i, id := range ids {
		q.Set(fmt.Sprintf("SubnetId.%d", i+1), id)
	}
	var list struct {
		Subnets []struct {
			ID  string `xml:"subnetId"`
			VPC string `xml:"vpcId"`
		} `xml:"subnetSet>item"`
	}
	if err := e.call(ctx, "DescribeSubnets", q, &list); err != nil {
		return nil, err
	}
	var out []Subnet
	tables := map[string]routeTables{}
	for _, s := range list.Subnets {
		if _, known := tables[s.VPC]; !known {
			t, err := e.routes(ctx, s.VPC)
			if err != nil {
				return nil, err
			}
			tables[s.VPC] = t
		}
		out = append(out, Subnet{s.ID, s.VPC, tables[s.VPC].way(s.ID)})
	}
	return out, nil
}

// routeTables are a VPC's.
type routeTables struct {
	Tables []struct {
		Routes []struct {
			To       string `xml:"destinationCidrBlock"`
			Gateway  string `xml:"gatewayId"`
			NAT      string `xml:"natGatewayId"`
			Transit  string `xml:"transitGatewayId"`
			Instance string `xml:"instanceId"`
			State    string `xml:"state"`
		} `xml:"routeSet>item"`
		Associations []struct {
			Subnet string `xml:"subnetId"`
			Main   bool   `xml:"main"`
		} `xml:"associationSet>item"`
	} `xml:"routeTableSet>item"`
}

func (e *ec2) routes(ctx context.Context, vpc string) (routeTables, error) {
	var t routeTables
	err := e.call(ctx, "DescribeRouteTables", url.Values{"Filter.1.Name": {"vpc-id"}, "Filter.1.Value.1": {vpc}}, &t)
	return t, err
}

// way is where a subnet's default route leads: its own table's, else the main one's.
func (t routeTables) way(subnet string) string {
	at := -1
	for i, table := range t.Tables {
		for _, a := range table.Associations {
			if a.Subnet == subnet {
				at = i
			}
			if a.Main && at < 0 {
				at = i
			}
		}
	}
	if at < 0 {
		return ""
	}
	for _, r := range t.Tables[at].Routes {
		if r.To == "0.0.0.0/0" && r.State != "blackhole" {
			return r.NAT + r.Gateway + r.Transit + r.Instance // one of them is set
		}
	}
	return ""
}

func (e *ec2) Endpoints(ctx context.Context, vpc string) ([]string, error) {
	var list struct {
		Endpoints []struct {
			Service string `xml:"serviceName"`
			State   string `xml:"state"`
		} `xml:"vpcEndpointSet>item"`
	}
	err := e.call(ctx, "DescribeVpcEndpoints", url.Values{"Filter.1.Name": {"vpc-id"}, "Filter.1.Value.1": {vpc}}, &list)
	var out []string
	for _, p := range list.Endpoints {
		if p.State == "available" || p.State == "" {
			out = append(out, p.Service)
		}
	}
	return out, err
}

// call signs and sends one request and decodes the answer.
func (e *ec2) call(ctx context.Context, action string, q url.Values, into any) error {
	q.Set("Action", action)
	q.Set("Version", "2016-11-15")
	body := []byte(q.Encode())
	hreq, err := http.NewRequestWithContext(ctx, http.MethodPost, e.endpoint+"/", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("asking EC2 for %s: %w", action, err)
	}
	hreq.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	doing := "asking EC2 for " + action
	if e.config.Credentials == nil {
		return awsauth.Explain(doing, errors.New("get identity: no credentials"))
	}
	creds, err := e.config.Credentials.Retrieve(ctx)
	if err != nil {
		return awsauth.Explain(doing, err)
	}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, creds, hreq, hex.EncodeToString(sum[:]), "ec2", e.config.Region, time.Now()); err != nil {
		return awsauth.Explain(doing, err)
	}
	resp, err := e.client.Do(hreq)
	if err != nil {
		return awsauth.Explain(doing, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	if err != nil {
		return awsauth.Explain(doing, err)
	}
	if resp.StatusCode != http.StatusOK {
		return awsauth.Explain(doing, ec2Error(resp.StatusCode, data))
	}
	if err := xml.Unmarshal(data, into); err != nil {
		return fmt.Errorf("reading EC2's answer to %s: %w", action, err)
	}
	return nil
}

func ec2Error(status int, data []byte) error {
	var answer struct {
		Code    string `xml:"Errors>Error>Code"`
		Message string `xml:"Errors>Error>Message"`
	}
	_ = xml.Unmarshal(data, &answer) // another form of answer has no code
	if answer.Code == "" {
		answer.Code, answer.Message = fmt.Sprintf("status %d", status), "its answer is not EC2's"
	}
	return &smithy.GenericAPIError{Code: answer.Code, Message: answer.Message}
}
