package assurance

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

// The bounds of a pattern, and of the text that is held against it: whoever sends the text must not make a decision slow. A
// longer text can't be told, so that the rule applies.
const (
	maxPattern = 300 // instructions
	maxMatched = 4096
)

// bounded refuses what would cost whatever a caller wishes, or what the place where it runs decides: patterns and time zones
// that are not written in the rule, patterns that are too large, and zones that this machine does not know.
func bounded(checked *cel.Ast) error {
	var fault error
	told := checked.NativeRep()
	ast.PreOrderVisit(told.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if fault != nil || e.Kind() != ast.CallKind {
			return
		}
		call := e.AsCall()
		args := call.Args()
		if len(args) == 0 {
			return
		}
		last := args[len(args)-1]
		switch name := call.FunctionName(); {
		case name == overloads.Matches:
			fault = judged(told, last, "a pattern", matchable)
		case call.IsMemberFunction() && zoned(name):
			fault = judged(told, last, "a time zone", func(text string) error { _, err := zoneOf(text); return err })
		}
	}))
	return fault
}

// judged holds the text of a literal against a rule of ours.
func judged(told *ast.AST, e ast.Expr, what string, fits func(string) error) error {
	column := fmt.Sprintf("column %d: ", told.SourceInfo().GetStartLocation(e.ID()).Column()+1)
	if e.Kind() != ast.LiteralKind {
		return fmt.Errorf("%s%s must be written in the rule itself", column, what)
	}
	text, ok := e.AsLiteral().(types.String)
	if !ok {
		return fmt.Errorf("%s%s must be a text", column, what)
	}
	if err := fits(string(text)); err != nil {
		return fmt.Errorf("%s%s", column, plain(err.Error()))
	}
	return nil
}

func matchable(pattern string) error {
	size, err := types.RegexProgramSize(pattern)
	if err == nil && size > maxPattern {
		err = fmt.Errorf("the pattern is too large: %d steps, and %d are the most", size, maxPattern)
	}
	return err
}

// zoned tells whether a function reads a timestamp in a time zone.
func zoned(function string) bool {
	switch function {
	case overloads.TimeGetFullYear, overloads.TimeGetMonth, overloads.TimeGetDate, overloads.TimeGetDayOfMonth, overloads.TimeGetDayOfWeek,
		overloads.TimeGetDayOfYear, overloads.TimeGetHours, overloads.TimeGetMinutes, overloads.TimeGetSeconds, overloads.TimeGetMilliseconds:
		return true
	}
	return false
}

// zoneOf finds a time zone by its name, or an offset such as +02:00. That of the machine is none: a Gate may stand in another.
func zoneOf(text string) (*time.Location, error) {
	if strings.EqualFold(text, "local") {
		return nil, fmt.Errorf("the time zone of a machine is nobody's: name one, such as Europe/Paris")
	}
	if !strings.Contains(text, ":") {
		at, err := time.LoadLocation(text)
		if err != nil {
			return nil, fmt.Errorf("the time zone %s is not known on this machine", text)
		}
		return at, nil
	}
	offset := text
	if !strings.HasPrefix(text, "+") && !strings.HasPrefix(text, "-") {
		offset = "+" + text
	}
	at, err := time.Parse("-07:00", offset)
	if err != nil {
		return nil, fmt.Errorf("the time zone %s is neither a name nor an offset such as +02:00", text)
	}
	_, seconds := at.Zone()
	return time.FixedZone("", seconds), nil
}

// prepared does once, when a rule is compiled, what each decision would do again: it reads the file of a time zone, and
// compiles a pattern, whose text it bounds.
func prepared(step interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	call, ok := step.(interpreter.InterpretableCall)
	if !ok || len(call.Args()) != 2 {
		return step, nil
	}
	args := call.Args()
	literal, ok := args[1].(interpreter.InterpretableConst)
	if !ok {
		return step, nil
	}
	text, ok := literal.Value().(types.String)
	if !ok {
		return step, nil
	}
	switch {
	case call.Function() == overloads.Matches:
		pattern, err := regexp.Compile(string(text))
		return &matching{call, args[0], pattern}, err
	case zoned(call.Function()):
		at, err := zoneOf(string(text))
		return &reading{call, args[0], at}, err
	}
	return step, nil
}

// matching holds a text against a pattern. It hides that it was a call, which would be replaced by one without bounds.
type matching struct {
	interpreter.InterpretableV2
	text    interpreter.InterpretableV2
	pattern *regexp.Regexp
}

// Exec tells whether it fits.
func (m *matching) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	value := m.text.Exec(frame)
	text, ok := value.(types.String)
	switch {
	case types.IsUnknownOrError(value):
		return value
	case !ok:
		return types.MaybeNoSuchOverloadErr(value)
	case len(text) > maxMatched:
		return types.NewErr("the text is too long for a pattern")
	}
	return types.Bool(m.pattern.MatchString(string(text)))
}

// reading reads a part of a timestamp in a time zone.
type reading struct {
	interpreter.InterpretableCall
	stamp interpreter.InterpretableV2
	at    *time.Location
}

// Exec gives the part.
func (r *reading) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	value := r.stamp.Exec(frame)
	stamp, ok := value.(types.Timestamp)
	switch {
	case types.IsUnknownOrError(value):
		return value
	case !ok:
		return types.MaybeNoSuchOverloadErr(value)
	}
	return types.Timestamp{Time: stamp.In(r.at)}.Receive(r.Function(), "", nil)
}
