package emulator

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
)

// A resourceType makes, changes, removes and reads resources of one type. Whether
// it may is asked by its caller, with the questions of asks.
type resourceType struct {
	iam     bool   // making one needs a capability
	named   string // the property that names it; "" none
	most    int    // characters of a generated name
	lower   bool   // generated names are in lower case
	replace []string

	check  func(properties map[string]any) (map[string]any, error) // strict, in one form
	asks   func(a *Account, v verb, physical string, old, new map[string]any) ([]question, error)
	create func(a *Account, physical string, properties map[string]any) (string, error)
	update func(a *Account, physical string, old, new map[string]any) error
	remove func(a *Account, physical string, properties map[string]any) error
	read   func(a *Account, physical string) (map[string]any, bool, error)
	attr   func(a *Account, physical, name string) (string, bool)
}

// A verb is what is done with a resource.
type verb string

const (
	creates verb = "create"
	updates verb = "update"
	deletes verb = "delete"
	reads   verb = "read"
)

// kindOf is a resourceType over the struct T of its properties, whose fields have
// the properties' names. Properties that T lacks are refused as not modeled.
type kindOf[T any] struct {
	iam     bool
	named   string
	most    int
	lower   bool
	replace []string   // properties whose change makes another resource of it
	normal  func(p *T) // sorts what has no order; may be nil

	// asks are the questions of permission, those that the type's handler of the
	// CloudFormation registry lists, as far as T has what they are about. old is nil
	// for creates, new for deletes, both for reads.
	asks func(a *Account, v verb, physical string, old, new *T) []question
	// create makes the resource under the physical name, or the one that its service
	// gives, which it returns.
	create func(a *Account, physical string, p T) (string, error)
	update func(a *Account, physical string, old, new T) error
	remove func(a *Account, physical string, p T) error
	// read returns the resource as it is; false when it is gone.
	read func(a *Account, physical string) (T, bool)
	attr func(a *Account, physical, name string) (string, bool)
}

// kind erases the type of the properties.
func kind[T any](name string, k kindOf[T]) *resourceType {
	decode := func(m map[string]any) (*T, error) {
		if m == nil {
			return nil, nil
		}
		v, err := decodeProperties[T](name, m)
		if err == nil && k.normal != nil {
			k.normal(&v)
		}
		return &v, err
	}
	t := &resourceType{iam: k.iam, named: k.named, most: k.most, lower: k.lower, replace: k.replace, attr: k.attr}
	if t.most == 0 {
		t.most = 128
	}
	t.check = func(m map[string]any) (map[string]any, error) {
		v, err := decode(m)
		if err != nil {
			return nil, err
		}
		return given(v, m)
	}
	t.asks = func(a *Account, v verb, physical string, old, new map[string]any) ([]question, error) {
		was, err := decode(old)
		if err != nil {
			return nil, err
		}
		is, err := decode(new)
		if err != nil {
			return nil, err
		}
		return k.asks(a, v, physical, was, is), nil
	}
	t.create = func(a *Account, physical string, m map[string]any) (string, error) {
		v, err := decode(m)
		if err != nil {
			return "", err
		}
		return k.create(a, physical, *v)
	}
	t.update = func(a *Account, physical string, old, new map[string]any) error {
		was, err := decode(old)
		if err != nil {
			return err
		}
		is, err := decode(new)
		if err != nil {
			return err
		}
		return k.update(a, physical, *was, *is)
	}
	t.remove = func(a *Account, physical string, m map[string]any) error {
		v, err := decode(m)
		if err != nil {
			return err
		}
		return k.remove(a, physical, *v)
	}
	t.read = func(a *Account, physical string) (map[string]any, bool, error) {
		v, ok := k.read(a, physical)
		if !ok {
			return nil, false, nil
		}
		m, err := encodeProperties(v)
		return m, true, err
	}
	return t
}

// given returns the properties that a template gives, in the form that the struct
// writes them, so that 480 and "480" are one.
func given(v any, m map[string]any) (map[string]any, error) {
	all, err := encodeProperties(v)
	if err != nil {
		return nil, err
	}
	out := map[string]any{}
	for name := range m {
		if one, ok := all[name]; ok {
			out[name] = one
			continue
		}
		// What the struct leaves out when empty was given, and empty.
		out[name] = plain(m[name])
	}
	return out, nil
}

// plain brings a value into the form it has once it was written and read.
func plain(v any) any {
	b, err := json.Marshal(v)
	if err != nil {
		return v
	}
	var out any
	_ = json.Unmarshal(b, &out) // it was written a moment ago
	return out
}

// same tells whether two property values are equal, whatever their Go types.
func same(a, b any) bool { return reflect.DeepEqual(plain(a), plain(b)) }

// differing returns the names of the properties that differ, sorted.
func differing(old, new map[string]any) []string {
	var out []string
	for name := range maps.Keys(new) {
		if v, ok := old[name]; !ok || !same(v, new[name]) {
			out = append(out, name)
		}
	}
	for name := range maps.Keys(old) {
		if _, ok := new[name]; !ok {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// ask is a question about one resource.
func ask(action, resource string) question { return question{action: action, resource: resource} }

// passes asks for handing a role to a service.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
func passes(role, service string) question {
	return question{action: "iam:PassRole", resource: role, keys: map[string][]string{"iam:PassedToService": {service}}}
}

// all makes one question for each action on the same resource.
func all(resource string, actions ...string) []question {
	var out []question
	for _, action := range actions {
		out = append(out, ask(action, resource))
	}
	return out
}

// resourceTypes are all types that are modeled. Any other is an error.
var resourceTypes = sync.OnceValue(func() map[string]*resourceType {
	m := map[string]*resourceType{}
	for _, some := range []map[string]*resourceType{iamTypes(), storageTypes(), engineTypes(), alarmTypes()} {
		for name, t := range some {
			if m[name] != nil {
				panic(fmt.Sprintf("resource type %s is there twice", name))
			}
			m[name] = t
		}
	}
	return m
})
