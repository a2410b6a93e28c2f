package emulator

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// EC2 holds an account's networks, as far as somebody looks at them.
type EC2 struct {
	account *Account

	mu   sync.Mutex
	vpcs []VPC
}

// A VPC is a network with its parts.
type VPC struct {
	ID             string
	Subnets        []Subnet
	SecurityGroups []string // IDs
	Endpoints      []string // services, such as com.amazonaws.us-east-1.s3
	// Default is where the main route table leads traffic to the internet: an ID
	// such as nat-1 or igw-1; "" nowhere.
	Default string
}

// A Subnet is a subnet with a route table of its own, or the main one.
type Subnet struct {
	ID    string
	Zone  string // such as us-east-1a
	Route string // as Default of the VPC; "": the main table holds
}

func newEC2(a *Account) *EC2 { return &EC2{account: a} }

// PutVPC stores a network, in place of one of that ID.
func (e *EC2) PutVPC(v VPC) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.vpcs = slices.DeleteFunc(e.vpcs, func(o VPC) bool { return o.ID == v.ID })
	e.vpcs = append(e.vpcs, v)
}

// VPC returns the network of that ID.
func (e *EC2) VPC(id string) (VPC, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := slices.IndexFunc(e.vpcs, func(v VPC) bool { return v.ID == id })
	if i < 0 {
		return VPC{}, false
	}
	return e.vpcs[i], true
}

func (e *EC2) all() []VPC {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.vpcs)
}

// ec2Dialect: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
var ec2Dialect = func() *dialect {
	d := *queryDialect
	d.denied = Fault{"UnauthorizedOperation", "", http.StatusForbidden}
	d.throttled = Fault{"RequestLimitExceeded", "Request limit exceeded.", http.StatusServiceUnavailable}
	d.troubles = map[trouble]Fault{
		unknownKey:   {"AuthFailure", "AWS was not able to validate the provided access credentials", 401},
		badSignature: {"AuthFailure", "AWS was not able to validate the provided access credentials", 401},
		badDigest:    {"AuthFailure", "AWS was not able to validate the provided access credentials", 401},
		badToken:     {"AuthFailure", "AWS was not able to validate the provided access credentials", 401},
		expired:      {"RequestExpired", "Request has expired.", 400},
		skewed:       {"RequestExpired", "Request has expired.", 400},
	}
	d.write = func(w http.ResponseWriter, f *Fault, request string) {
		type e struct{ Code, Message string }
		writeXML(w, f.status(), "Response", struct {
			Error     e `xml:"Errors>Error"`
			RequestID string
		}{e{f.Code, f.Message}, request})
	}
	return &d
}()

func ec2Service() service {
	return &queryService{
		namespace: "http://ec2.amazonaws.com/doc/2016-11-15/",
		flat:      ec2Dialect,
		operations: map[string]operation{
			"DescribeSubnets":        {takes: []string{"SubnetId", "Filter"}, do: describeSubnets},
			"DescribeRouteTables":    {takes: []string{"Filter"}, do: describeRouteTables},
			"DescribeVpcEndpoints":   {takes: []string{"Filter"}, do: describeEndpoints},
			"DescribeSecurityGroups": {takes: []string{"GroupId", "Filter"}, do: describeSecurityGroups},
		},
	}
}

// looked returns the networks that the call is about if the caller may look; these
// actions take no resource.
func (c *call) looked(action string) ([]VPC, error) {
	if err := c.allow(question{action: action, resource: "*"}); err != nil {
		return nil, err
	}
	list := c.account.EC2.all()
	for i := 1; c.param(fmt.Sprintf("Filter.%d.Name", i)) != ""; i++ {
		name := c.param(fmt.Sprintf("Filter.%d.Name", i))
		if name != "vpc-id" {
			return nil, notModeled(strings.TrimPrefix(action, "ec2:"), "filter "+name)
		}
		ids := c.numbered(fmt.Sprintf("Filter.%d.Value", i))
		list = slices.DeleteFunc(list, func(v VPC) bool { return !slices.Contains(ids, v.ID) })
	}
	return list, nil
}

// numbered returns a list parameter as EC2 numbers them.
func (c *call) numbered(name string) []string {
	var out []string
	for i := 1; c.param(fmt.Sprintf("%s.%d", name, i)) != ""; i++ {
		out = append(out, c.param(fmt.Sprintf("%s.%d", name, i)))
	}
	return out
}

type ec2Subnet struct {
	SubnetID string `xml:"subnetId"`
	VPC      string `xml:"vpcId"`
	State    string `xml:"state"`
	Zone     string `xml:"availabilityZone"`
}

func describeSubnets(c *call) (any, error) {
	list, err := c.looked("ec2:DescribeSubnets")
	if err != nil {
		return nil, err
	}
	ids := c.numbered("SubnetId")
	var out struct {
		Items []ec2Subnet `xml:"subnetSet>item"`
	}
	for _, v := range list {
		for _, s := range v.Subnets {
			if len(ids) == 0 || slices.Contains(ids, s.ID) {
				out.Items = append(out.Items, ec2Subnet{s.ID, v.ID, "available", s.Zone})
			}
		}
	}
	for _, id := range ids {
		if !slices.ContainsFunc(out.Items, func(s ec2Subnet) bool { return s.SubnetID == id }) {
			return nil, fault("InvalidSubnetID.NotFound", "The subnet ID '%s' does not exist", id)
		}
	}
	return out, nil
}

type ec2Route struct {
	To      string `xml:"destinationCidrBlock"`
	NAT     string `xml:"natGatewayId,omitempty"`
	Gateway string `xml:"gatewayId,omitempty"`
	Transit string `xml:"transitGatewayId,omitempty"`
	State   string `xml:"state"`
}

type ec2Association struct {
	Subnet string `xml:"subnetId,omitempty"`
	Main   bool   `xml:"main"`
}

type ec2RouteTable struct {
	ID           string           `xml:"routeTableId"`
	VPC          string           `xml:"vpcId"`
	Routes       []ec2Route       `xml:"routeSet>item"`
	Associations []ec2Association `xml:"associationSet>item"`
}

func describeRouteTables(c *call) (any, error) {
	list, err := c.looked("ec2:DescribeRouteTables")
	if err != nil {
		return nil, err
	}
	var out struct {
		Items []ec2RouteTable `xml:"routeTableSet>item"`
	}
	for _, v := range list {
		out.Items = append(out.Items, ec2RouteTable{"rtb-" + v.ID, v.ID, routesTo(v.Default), []ec2Association{{Main: true}}})
		for _, s := range v.Subnets {
			if s.Route != "" {
				out.Items = append(out.Items, ec2RouteTable{"rtb-" + s.ID, v.ID, routesTo(s.Route), []ec2Association{{Subnet: s.ID}}})
			}
		}
	}
	return out, nil
}

func routesTo(id string) []ec2Route {
	routes := []ec2Route{{To: "10.0.0.0/16", Gateway: "local", State: "active"}}
	r := ec2Route{To: "0.0.0.0/0", State: "active"}
	kind, _, _ := strings.Cut(id, "-")
	switch kind {
	case "":
		return routes
	case "nat":
		r.NAT = id
	case "tgw":
		r.Transit = id
	default:
		r.Gateway = id
	}
	return append(routes, r)
}

func describeEndpoints(c *call) (any, error) {
	list, err := c.looked("ec2:DescribeVpcEndpoints")
	if err != nil {
		return nil, err
	}
	type item struct {
		ID      string `xml:"vpcEndpointId"`
		VPC     string `xml:"vpcId"`
		Service string `xml:"serviceName"`
		State   string `xml:"state"`
	}
	var out struct {
		Items []item `xml:"vpcEndpointSet>item"`
	}
	for _, v := range list {
		for i, s := range v.Endpoints {
			out.Items = append(out.Items, item{fmt.Sprintf("vpce-%s-%d", v.ID, i), v.ID, s, "available"})
		}
	}
	return out, nil
}

func describeSecurityGroups(c *call) (any, error) {
	list, err := c.looked("ec2:DescribeSecurityGroups")
	if err != nil {
		return nil, err
	}
	type item struct {
		ID  string `xml:"groupId"`
		VPC string `xml:"vpcId"`
	}
	var out struct {
		Items []item `xml:"securityGroupInfo>item"`
	}
	ids := c.numbered("GroupId")
	for _, v := range list {
		for _, g := range v.SecurityGroups {
			if len(ids) == 0 || slices.Contains(ids, g) {
				out.Items = append(out.Items, item{g, v.ID})
			}
		}
	}
	if len(out.Items) < len(ids) {
		return nil, fault("InvalidGroup.NotFound", "One of the security groups %s does not exist", strings.Join(ids, ", "))
	}
	return out, nil
}
