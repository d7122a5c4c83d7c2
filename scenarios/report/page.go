package report

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"os"

	"seatrial.dev/seatrial/scenarios"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// pageData is what the page's script draws from.
type pageData struct {
	Name        string      `json:"name"`
	Description string      `json:"description"`
	Verdict     string      `json:"verdict"` // the verdict line
	Passed      bool        `json:"passed"`
	Error       string      `json:"error,omitempty"`
	Duration    int64       `json:"duration"` // of virtual time, in ms
	States      []string    `json:"states"`
	Points      []point     `json:"points"`
	Nodes       []*lane     `json:"nodes"`
	Pods        []*lane     `json:"pods"`
	Omitted     int         `json:"omitted"`
	Steps       []pageStep  `json:"steps"`
	Checks      []pageCheck `json:"checks"`
	Remarks     []remark    `json:"remarks"`
	Missed      int         `json:"missed"`
}

type pageStep struct {
	At   int64  `json:"t"`
	Text string `json:"m"`
	Err  string `json:"e,omitempty"`
}

type pageCheck struct {
	Name string `json:"name"`
	Mode string `json:"mode"`
	Expr string `json:"expr"`
	From int64  `json:"from"`
	To   int64  `json:"to"`
	Held bool   `json:"held"`
	At   int64  `json:"at"`
	Saw  string `json:"saw,omitempty"`
}

// writePage writes the report as one HTML file that needs no network.
func writePage(path string, v *scenarios.Verdict, t *timeline) (err error) {
	d := pageData{Name: v.Scenario.Name, Description: v.Scenario.Description, Verdict: v.String(), Passed: v.Passed(), Duration: millis(v.Time),
		States: podStates, Points: t.points, Nodes: t.nodes, Pods: t.pods, Omitted: t.omitted, Remarks: t.remarks, Missed: t.remarksMissed}
	if v.Err != nil {
		d.Error = v.Err.Error()
	}
	failed := map[string]string{}
	for _, s := range v.Steps {
		failed[fmt.Sprint(s.Step.At, s.Line)] = s.Err.Error()
	}
	for _, s := range v.Scenario.Steps {
		if s.At <= v.Time {
			d.Steps = append(d.Steps, pageStep{millis(s.At), s.Action.String(), failed[fmt.Sprint(s.At, s.Line)]})
		}
	}
	for _, r := range v.Checks {
		d.Checks = append(d.Checks, pageCheck{r.Name, r.Mode.String(), r.Expr, millis(r.From), millis(r.To), r.Held, millis(r.At), r.Saw})
	}
	data, err := json.Marshal(d) // escapes <, > and &, so it may stand in a script
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	defer func() {
		if e := f.Close(); err == nil && e != nil {
			err = fmt.Errorf("write the report: %w", e)
		}
	}()
	if err := pageTemplate.Execute(f, struct {
		Name string
		Data template.JS
	}{d.Name, template.JS(data)}); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}
