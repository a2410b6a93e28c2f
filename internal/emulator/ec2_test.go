package emulator_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/Sage-Bionetworks/synapse-ops-core/internal/emulator"
)

// ec2 asks EC2 by its plain protocol and returns the answer's text.
func (w *world) ec2(c aws.Config, action string, form url.Values) (int, string) {
	w.t.Helper()
	form.Set("Action", action)
	form.Set("Version", "2016-11-15")
	body := form.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, strings.NewReader(body))
	w.must(err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	k, err := c.Credentials.Retrieve(ctx)
	w.must(err)
	sum := sha256.Sum256([]byte(body))
	w.must(v4.NewSigner().SignHTTP(ctx, k, r, hex.EncodeToString(sum[:]), "ec2", region, time.Now()))
	resp, err := w.client.Do(r)
	w.must(err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	w.must(err)
	return resp.StatusCode, string(b)
}

func TestEC2_Network(t *testing.T) {
	w := newWorld(t)
	w.Account(dev).EC2.PutVPC(emulator.VPC{
		ID: "vpc-1", Default: "nat-1", SecurityGroups: []string{"sg-1"}, Endpoints: []string{"com.amazonaws.us-east-1.s3"},
		Subnets: []emulator.Subnet{{ID: "subnet-a", Zone: "us-east-1a"}, {ID: "subnet-b", Route: "igw-1"}},
	})
	w.Account(dev).EC2.PutVPC(emulator.VPC{ID: "vpc-2", Subnets: []emulator.Subnet{{ID: "subnet-c"}}})
	admin := w.admin(dev)
	w.role(dev, "none", allows("*", "s3:*"))
	vpc1 := url.Values{"Filter.1.Name": {"vpc-id"}, "Filter.1.Value.1": {"vpc-1"}}
	for _, tc := range []struct {
		name, action string
		as           aws.Config
		form         url.Values
		status       int
		has, not     string
	}{
		{"subnets", "DescribeSubnets", admin, url.Values{"SubnetId.1": {"subnet-b"}}, 200, "<subnetId>subnet-b</subnetId><vpcId>vpc-1</vpcId>", "subnet-a"},
		{"no such subnet", "DescribeSubnets", admin, url.Values{"SubnetId.1": {"subnet-x"}}, 400, "<Code>InvalidSubnetID.NotFound</Code>", ""},
		{"own table", "DescribeRouteTables", admin, vpc1, 200, "<gatewayId>igw-1</gatewayId>", "vpc-2"},
		{"main table", "DescribeRouteTables", admin, vpc1, 200, "<natGatewayId>nat-1</natGatewayId>", ""},
		{"endpoints", "DescribeVpcEndpoints", admin, vpc1, 200, "<serviceName>com.amazonaws.us-east-1.s3</serviceName>", ""},
		{"groups", "DescribeSecurityGroups", admin, url.Values{"GroupId.1": {"sg-1"}}, 200, "<groupId>sg-1</groupId>", ""},
		{"no such group", "DescribeSecurityGroups", admin, url.Values{"GroupId.1": {"sg-9"}}, 400, "<Code>InvalidGroup.NotFound</Code>", ""},
		{"another filter", "DescribeSubnets", admin, url.Values{"Filter.1.Name": {"tag:x"}, "Filter.1.Value.1": {"y"}}, 501, "NotModelled", ""},
		{"no permission", "DescribeSubnets", w.as(dev, "none"), url.Values{}, 403, "<Code>UnauthorizedOperation</Code>", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status, text := w.ec2(tc.as, tc.action, tc.form)
			if status != tc.status || !strings.Contains(text, tc.has) || tc.not != "" && strings.Contains(text, tc.not) {
				t.Errorf("answered %d %s", status, text)
			}
		})
	}
}
