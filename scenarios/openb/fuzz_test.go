package openb

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"seatrial.dev/seatrial/cluster/kinds"
)

// FuzzReadPods reads whatever comes: what is taken makes valid pods, what is not is told
// with the file's name.
func FuzzReadPods(f *testing.F) {
	const header = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time\n"
	f.Add(header + "p,12000,16384,1,460,V100M16|T4,LS,Running,0,12537496,0\nq,1,1,0,0,,BE,Pending,10,,\n")
	f.Add(header + "p,1,1,64,1000,,LS,Running,8589934592,8589934592,0\n")
	f.Add("\ufeff" + header + "\"p\",1,1\n")
	f.Fuzz(func(t *testing.T, text string) {
		file := filepath.Join(t.TempDir(), "pods.csv")
		if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		pods, err := ReadPods(file)
		if err != nil {
			if !strings.HasPrefix(err.Error(), file) {
				t.Fatalf("an error that does not name the file: %v", err)
			}
			return
		}
		for i := range pods {
			o := pods[i].Object("default")
			kinds.Default(o)
			if list := kinds.Validate(o); len(list) > 0 {
				t.Fatalf("%+v makes an invalid pod: %v", pods[i], list)
			}
		}
	})
}
