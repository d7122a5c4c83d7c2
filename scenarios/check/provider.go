package check

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"seatrial.dev/seatrial/cluster/kinds"
)

// provider gives CEL the types of the cluster's objects besides its own.
type provider struct {
	types.Provider // CEL's own types
	x              *typeIndex
	unknown        map[string]*structType // field names asked for in vain since they were last cleared
}

// FindStructType implements types.Provider.
func (p *provider) FindStructType(name string) (*types.Type, bool) {
	if s, ok := p.x.byName[name]; ok {
		return types.NewTypeTypeWithParam(s.cel), true
	}
	return p.Provider.FindStructType(name)
}

// FindStructFieldNames implements types.Provider.
func (p *provider) FindStructFieldNames(name string) ([]string, bool) {
	if s, ok := p.x.byName[name]; ok {
		return s.names(), true
	}
	return p.Provider.FindStructFieldNames(name)
}

// FindStructFieldType implements types.Provider. It remembers what was asked for
// in vain: CEL's error names the field but not the type that does not have it.
func (p *provider) FindStructFieldType(name, fieldName string) (*types.FieldType, bool) {
	s, ok := p.x.byName[name]
	if !ok {
		return p.Provider.FindStructFieldType(name, fieldName)
	}
	f := s.field(fieldName)
	if f == nil {
		p.unknown[fieldName] = s
		return nil, false
	}
	return &types.FieldType{
		Type:  f.cel,
		IsSet: func(target any) bool { return s.holds(target) && f.is(target) },
		GetFrom: func(target any) (any, error) {
			if !s.holds(target) {
				return nil, s.notThere(target)
			}
			return f.get(target), nil
		},
	}, true
}

// NewValue implements types.Provider: checks read objects and make none.
func (p *provider) NewValue(name string, fields map[string]ref.Val) ref.Val {
	if _, ok := p.x.byName[name]; ok {
		return types.NewErr("an expression cannot make a %s", name)
	}
	return p.Provider.NewValue(name, fields)
}

func (s *structType) holds(target any) bool {
	return reflect.TypeOf(target) == s.ptrType
}

func (s *structType) notThere(target any) error {
	if target == types.NullValue.Value() {
		return errors.New("the " + strings.ToLower(s.cel.TypeName()[strings.LastIndexByte(s.cel.TypeName(), '.')+1:]) + " does not exist")
	}
	return fmt.Errorf("want a %s, got a %T", s.cel.TypeName(), target)
}

// NativeToValue implements types.Adapter.
func (x *typeIndex) NativeToValue(v any) ref.Val {
	switch v := v.(type) {
	case ref.Val:
		return v
	case kinds.Object:
		return &object{x.of(reflect.TypeOf(v).Elem()), x, v}
	}
	if t := reflect.TypeOf(v); t != nil && t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct {
		if s, ok := x.byGo[t.Elem()]; ok {
			return &object{s, x, v}
		}
	}
	return types.DefaultTypeAdapter.NativeToValue(v)
}
