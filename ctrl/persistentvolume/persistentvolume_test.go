package persistentvolume_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl"
	"seatrial.dev/seatrial/ctrl/ctrltest"
	"seatrial.dev/seatrial/ctrl/persistentvolume"
)

func TestPersistentVolume(t *testing.T) {
	ctrltest.Run(t, "testdata", func() []ctrl.Controller {
		return []ctrl.Controller{persistentvolume.New(), persistentvolume.NewProvisioner()}
	})
}

// BenchmarkBind is a claim with a volume made for it among as many as are asked for.
func BenchmarkBind(b *testing.B) {
	const claims = 2000
	for b.Loop() {
		w := ctrltest.New(persistentvolume.New(), persistentvolume.NewProvisioner())
		w.Load(&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "fast"}, Provisioner: "csi.example.com"})
		class := "fast"
		for i := range claims {
			c := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("data-db-%d", i)}}
			c.Spec.StorageClassName, c.Spec.AccessModes = &class, []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
			c.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
			w.Load(c)
		}
		for turns := 0; !w.Settle(); turns++ { // so many turns at a time
			if turns > claims {
				b.Fatal("not settled")
			}
		}
		for c := range view.All[*corev1.PersistentVolumeClaim](w.View, kinds.PersistentVolumeClaim) {
			if c.Status.Phase != corev1.ClaimBound {
				b.Fatal(c.Name)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/claims, "µs/claim")
}
