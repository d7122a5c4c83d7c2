package config

import (
	"fmt"
	"slices"

	"seatrial.dev/seatrial/sched"
)

const multiPoint = "multiPoint"

// Limits of a profile's lists.
const (
	pluginsMax = 200        // of one list
	weightMax  = 1_000_000  // of one plugin
	weightsMax = 20_000_000 // of all scores of a profile together: their sum is kept in 32 bits
)

// entry is a plugin in a list, and where the file names it; "" for one of the defaults.
type entry struct {
	name   string
	weight int64
	field  string
}

// set is what a point has, once the file's list is merged into the defaults.
type set struct {
	enabled  []entry
	disabled map[string]bool
}

// points lists a profile's sets by point, multiPoint first.
func (p *filePlugins) points() []struct {
	name string
	set  *pluginSet
} {
	return []struct {
		name string
		set  *pluginSet
	}{{multiPoint, &p.MultiPoint}, {"preEnqueue", &p.PreEnqueue}, {"queueSort", &p.QueueSort}, {"preFilter", &p.PreFilter}, {"filter", &p.Filter},
		{"postFilter", &p.PostFilter}, {"preScore", &p.PreScore}, {"score", &p.Score}, {"reserve", &p.Reserve}, {"permit", &p.Permit},
		{"preBind", &p.PreBind}, {"bind", &p.Bind}, {"postBind", &p.PostBind}, {"placementGenerate", &p.PlacementGenerate},
		{"placementScore", &p.PlacementScore}, {"podGroupPostFilter", &p.PodGroupPostFilter}}
}

// profile reads one profile. Its arguments are read even if its plugins are wrong, so
// that all mistakes are told at once.
func (r *reader) profile(at string, in *fileProfile) sched.Profile {
	before := len(r.errs)
	merged := map[string]set{}
	for _, p := range in.Plugins.points() {
		merged[p.name] = r.merge(at+".plugins."+p.name, p.name, p.set)
	}
	out := sched.DefaultProfile()
	out.Name, out.NodesPercent = in.SchedulerName, *in.PercentageOfNodesToScore
	out.Filters, out.Scores, out.Preempts, out.Gangs = nil, nil, false, false
	if len(r.errs) == before {
		r.expand(at, in, merged, &out)
	}
	r.args(at, in.PluginConfig, &out)
	return out
}

// merge puts a file's list for a point into the defaults, of which only multiPoint has
// any: a default that the file names again keeps its place and gets the file's weight.
func (r *reader) merge(at, point string, in *pluginSet) set {
	s := set{disabled: map[string]bool{}}
	if len(in.Enabled) > pluginsMax || len(in.Disabled) > pluginsMax {
		r.fail(at, "names more than %d plugins", pluginsMax)
		return s
	}
	for i, p := range in.Disabled {
		field := fmt.Sprintf("%s.disabled[%d].name", at, i)
		if _, ok := find(p.Name); !ok && p.Name != "*" {
			if why := removed(p.Name); why != "" {
				r.warn(field, "%s %s", p.Name, why)
			} else {
				r.fail(field, "%s", unknown(p.Name, point))
			}
		}
		s.disabled[p.Name] = true
	}
	given := r.enabled(at, point, in.Enabled)
	taken := map[string]bool{}
	if point == multiPoint && !s.disabled["*"] {
		for _, p := range upstream() {
			if p.standing == off || p.standing == absentOff || s.disabled[p.name] {
				continue
			}
			e := entry{name: p.name, weight: p.weight}
			if i := slices.IndexFunc(given, func(g entry) bool { return g.name == p.name }); i >= 0 {
				e = given[i]
				taken[p.name] = true
			}
			s.enabled = append(s.enabled, e)
		}
	}
	for _, e := range given {
		if !taken[e.name] {
			s.enabled = append(s.enabled, e)
		}
	}
	return s
}

// enabled checks the plugins that a file enables at a point.
func (r *reader) enabled(at, point string, in []filePlugin) (list []entry) {
	first := map[string]int{}
	for i, f := range in {
		field := fmt.Sprintf("%s.enabled[%d]", at, i)
		p, ok := find(f.Name)
		if !ok {
			r.fail(field+".name", "%s", unknown(f.Name, point))
			continue
		}
		if j, twice := first[f.Name]; twice {
			r.fail(field+".name", "is enabled twice: enabled[%d] is the same plugin", j)
			continue
		}
		first[f.Name] = i
		switch {
		case !p.at(point):
			r.fail(field+".name", "does not stand at %s: it stands at %s", point, p.points)
			continue
		case p.standing == absentOff:
			r.fail(field+".name", "is a plugin of kube-scheduler that is off by default and not here; leave it out")
			continue
		case p.standing == absentOn:
			r.warn(field+".name", "%s is on by default in kube-scheduler and not here: it is left out", p.name)
		}
		if f.Weight < 0 || f.Weight > weightMax {
			r.fail(field+".weight", "must be from 0 to %d (0 stands for 1)", weightMax)
		}
		if f.Weight != 0 && point != multiPoint && point != "score" && point != "placementScore" {
			r.warn(field+".weight", "only scores have a weight: it has no effect at %s", point)
		}
		list = append(list, entry{f.Name, int64(f.Weight), field})
	}
	return list
}

// expand puts each plugin of multiPoint at the points where it can stand, and takes
// from the points what decisions go by.
func (r *reader) expand(at string, in *fileProfile, merged map[string]set, out *sched.Profile) {
	full := map[string][]entry{}
	for _, p := range in.Plugins.points() {
		if p.name != multiPoint {
			full[p.name] = expandPoint(p.name, merged[p.name], merged[multiPoint].enabled)
		}
	}
	for _, e := range full["filter"] {
		out.Filters = append(out.Filters, e.name)
	}
	var sum int64
	for _, e := range full["score"] {
		w := max(e.weight, 1)
		sum += w
		out.Scores = append(out.Scores, sched.Weighted{Plugin: e.name, Weight: w})
	}
	plugins := at + ".plugins"
	if sum > weightsMax {
		r.fail(plugins, "the weights of all scores come to %d, more than %d", sum, weightsMax)
	}
	out.Preempts = holds(full["postFilter"], sched.DefaultPreemption)
	out.Gangs = holds(full["preEnqueue"], sched.GangScheduling)
	if len(full["queueSort"]) != 1 {
		r.fail(plugins+".queueSort", "leaves the queue without an order: one plugin must stand at queueSort, %s", sched.PrioritySort)
	}
	if len(full["bind"]) == 0 {
		r.fail(plugins+".bind", "leaves nobody to bind pods: %s must stand at bind", sched.DefaultBinder)
	}
	if !holds(full["preEnqueue"], sched.SchedulingGates) {
		r.warn(plugins, "%s is off, but pods with scheduling gates wait all the same", sched.SchedulingGates)
	}
	r.halves(plugins, full)
}

// expandPoint orders a point's plugins: those that multiPoint has as well, in the
// point's order; the others of multiPoint; the others of the point
// (kubernetes.io/docs/reference/scheduling/config/#multipoint). Plugins that are not
// here are left out.
func expandPoint(point string, s set, multi []entry) (list []entry) {
	var again, more, rest []entry
	for _, e := range s.enabled {
		if holds(multi, e.name) && !s.disabled["*"] && !s.disabled[e.name] {
			again = append(again, e)
		} else {
			rest = append(rest, e)
		}
	}
	for _, e := range multi {
		if p, _ := find(e.name); p.at(point) && !s.disabled["*"] && !s.disabled[e.name] && !holds(s.enabled, e.name) {
			more = append(more, e)
		}
	}
	return slices.DeleteFunc(slices.Concat(again, more, rest), func(e entry) bool {
		p, _ := find(e.name)
		return p.absent()
	})
}

func holds(list []entry, name string) bool {
	return slices.ContainsFunc(list, func(e entry) bool { return e.name == name })
}

// halves warns where a file takes the first half of a plugin away and leaves the second,
// which is all that counts here.
func (r *reader) halves(at string, full map[string][]entry) {
	for _, pair := range [...][2]string{{"preFilter", "filter"}, {"preScore", "score"}, {"reserve", "filter"}, {"preBind", "filter"}} {
		first, second := pair[0], pair[1]
		for _, p := range upstream() {
			if p.absent() || !p.at(first) || !p.at(second) || holds(full[first], p.name) || !holds(full[second], p.name) {
				continue
			}
			r.warn(at+"."+first, "%s and %s of %s are one here: both are on, as %s is", first, second, p.name, second)
		}
	}
}
