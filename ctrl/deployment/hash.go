package deployment

import (
	"encoding/binary"
	"encoding/json"
	"hash/fnv"
	"strconv"

	corev1 "k8s.io/api/core/v1"
)

// safe are the characters of generated names: no vowels and nothing that looks
// like one, so that no words come out (apimachinery's SafeEncodeString).
const safe = "bcdfghjklmnpqrstvwxz2456789"

// templateHash is the value of the label pod-template-hash and the end of a
// set's name: an FNV hash of the template in canonical JSON and of the collision
// count. The function is ours, so the values differ from those of Kubernetes,
// which hashes its own Go structs and changes with them; the form is the same.
func templateHash(t *corev1.PodTemplateSpec, collisions *int32) string {
	body, err := json.Marshal(t)
	if err != nil {
		panic("deployment: a template that is no JSON: " + err.Error())
	}
	h := fnv.New32a()
	h.Write(body)
	if collisions != nil {
		h.Write(binary.LittleEndian.AppendUint64(nil, uint64(uint32(*collisions))))
	}
	digits := []byte(strconv.FormatUint(uint64(h.Sum32()), 10))
	for i, d := range digits {
		digits[i] = safe[int(d)%len(safe)]
	}
	return string(digits)
}
