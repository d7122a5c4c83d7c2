package quality

import (
	"fmt"
	"image/color"
	"os"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Plot writes a drawing for each measure into a folder, NAME.svg: the policies side by
// side, with their confidence intervals and each seed's value beside.
func (r *Result) Plot(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("plots: %w", err)
	}
	for _, m := range Measures() {
		p, ok, err := r.plot(m)
		if err != nil {
			return fmt.Errorf("plot of %s: %w", m.Name, err)
		}
		if !ok {
			continue
		}
		wide := vg.Length(2+len(r.Lines)) * 1.1 * vg.Inch
		if err := p.Save(wide, 3.5*vg.Inch, filepath.Join(dir, m.Name+".svg")); err != nil {
			return fmt.Errorf("plot of %s: %w", m.Name, err)
		}
	}
	return nil
}

// intervals are means with their confidence intervals.
type intervals struct {
	plotter.XYs
	plotter.YErrors
}

func (r *Result) plot(m Measure) (*plot.Plot, bool, error) {
	p := plot.New()
	p.Title.Text = fmt.Sprintf("%s (%s)", m.Name, r.Workload)
	p.Y.Label.Text = m.Unit
	var means intervals
	var each plotter.XYs
	var names []string
	for i := range r.Lines {
		e, ok := r.Lines[i].Measures[m.Name]
		names = append(names, r.Lines[i].Policy)
		if !ok {
			continue
		}
		means.XYs = append(means.XYs, plotter.XY{X: float64(i), Y: e.Mean})
		means.YErrors = append(means.YErrors, struct{ Low, High float64 }{e.Mean - e.Low, e.High - e.Mean})
		for _, y := range e.Each {
			each = append(each, plotter.XY{X: float64(i) + 0.12, Y: y})
		}
	}
	if len(means.XYs) == 0 {
		return nil, false, nil
	}
	dots, err := plotter.NewScatter(each)
	if err != nil {
		return nil, false, err
	}
	dots.GlyphStyle = draw.GlyphStyle{Color: color.Gray{160}, Radius: vg.Points(1.5), Shape: draw.CircleGlyph{}}
	points, err := plotter.NewScatter(means.XYs)
	if err != nil {
		return nil, false, err
	}
	points.GlyphStyle = draw.GlyphStyle{Color: color.RGBA{B: 160, A: 255}, Radius: vg.Points(3), Shape: draw.CircleGlyph{}}
	bars, err := plotter.NewYErrorBars(means)
	if err != nil {
		return nil, false, err
	}
	p.Add(plotter.NewGrid(), dots, bars, points)
	p.NominalX(names...)
	pad := (p.Y.Max - p.Y.Min) / 20
	p.Y.Min, p.Y.Max = p.Y.Min-pad, p.Y.Max+pad
	p.X.Min, p.X.Max = -0.5, float64(len(r.Lines))-0.5
	return p, true, nil
}
