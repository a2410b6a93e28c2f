package cfn

// ReadPlain reads one YAML document without functions, such as a buildspec that a
// template holds. Its values are string, int64, float64, bool, []any and
// map[string]any. The error is Invalid and names the line.
func ReadPlain(data []byte) (any, error) {
	v, err := readYAML(data)
	if err != nil {
		return nil, err
	}
	return v, noCalls(v)
}

func noCalls(v any) error {
	switch v := v.(type) {
	case *call:
		return v.wrong("has no place outside of a template")
	case []any:
		for _, one := range v {
			if err := noCalls(one); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, one := range v {
			if err := noCalls(one); err != nil {
				return err
			}
		}
	}
	return nil
}
