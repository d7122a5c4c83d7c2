package ctrl_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/ctrl"
)

// A bound note is told of its own write, with the name that the API minted.
func TestNotesOf(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", GenerateName: "web-"}}
	var p ctrl.Plan
	p.Write(api.Create(pod))
	p.WriteNoted(api.Create(pod), api.Normal(pod, "c", "SuccessfulCreate", "Created pod: "+ctrl.NameOfWritten), api.Normal(pod, "c", "Second", "x"))
	p.WriteNoted(api.Create(pod), api.Normal(pod, "c", "Third", "y"))
	named := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web-x7k2p"}}
	var got []string
	for i := range p.Writes {
		for _, n := range p.NotesOf(i, named) {
			got = append(got, n.Reason+" "+n.Message)
		}
		got = append(got, "|")
	}
	assert.Equal(t, []string{"|", "SuccessfulCreate Created pod: web-x7k2p", "Second x", "|", "Third y", "|"}, got)
}

// The soonest wish to look again wins; one for no time is none.
func TestLookAgain(t *testing.T) {
	var p ctrl.Plan
	for _, d := range []time.Duration{0, -1, 9, 5, 7} {
		p.LookAgain(d)
	}
	assert.Equal(t, time.Duration(5), p.Again)
}
