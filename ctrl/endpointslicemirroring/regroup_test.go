package endpointslicemirroring

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
)

func some(from, n int) (list []corev1.EndpointAddress) {
	for i := from; i < from+n; i++ {
		list = append(list, corev1.EndpointAddress{IP: fmt.Sprintf("10.0.%d.%d", i/256, i%256)})
	}
	return list
}

func port(name string, number int32) corev1.EndpointPort {
	return corev1.EndpointPort{Name: name, Port: number, Protocol: corev1.ProtocolTCP}
}

// Of one group 1000 addresses are mirrored: those that are ready first.
func TestAddressesMax(t *testing.T) {
	subset := corev1.EndpointSubset{Addresses: some(0, 600), NotReadyAddresses: some(600, addressesMax-600), Ports: []corev1.EndpointPort{port("a", 1), port("b", 2)}}
	list, lost := regroup([]corev1.EndpointSubset{subset})
	require.Len(t, list, 1)
	require.Len(t, list[0].addresses, addressesMax)
	require.Zero(t, lost)

	subset.NotReadyAddresses = some(600, addressesMax)
	list, lost = regroup([]corev1.EndpointSubset{subset})
	require.Len(t, list[0].addresses, addressesMax)
	require.True(t, list[0].addresses[599].ready)
	require.False(t, list[0].addresses[600].ready)
	require.Equal(t, losses{beyond: 600}, lost)
}

// Of one Endpoints 100 groups are mirrored; a port more for one of them is no group
// more.
func TestSubsetsMax(t *testing.T) {
	var subsets []corev1.EndpointSubset
	for i := range subsetsMax {
		subsets = append(subsets, corev1.EndpointSubset{Addresses: some(i, 1), Ports: []corev1.EndpointPort{port(fmt.Sprintf("p%03d", i), 80)}})
	}
	list, lost := regroup(subsets)
	require.Len(t, list, subsetsMax)
	require.Zero(t, lost)

	subsets[0].Ports = append(subsets[0].Ports, port("z", 443))
	more := corev1.EndpointSubset{Addresses: some(0, 3), NotReadyAddresses: some(3, 4), Ports: []corev1.EndpointPort{port("y", 80)}}
	list, lost = regroup(append(subsets, more))
	require.Len(t, list, subsetsMax)
	require.Equal(t, losses{beyond: 7}, lost)
	require.Equal(t, []corev1.EndpointPort{port("p000", 80), port("z", 443)}, list[0].ports)
}

// Ports of one name are groups too, if of the same addresses.
func TestSubsetsMaxOfOneName(t *testing.T) {
	var ports []corev1.EndpointPort
	for i := range int32(subsetsMax + 20) {
		ports = append(ports, port("same", 1+i))
	}
	list, lost := regroup([]corev1.EndpointSubset{{Addresses: some(0, 2), Ports: ports}})
	require.Len(t, list, subsetsMax)
	require.Equal(t, losses{beyond: 40}, lost)
}

// The worst that fits into one object: many combinations of large subsets.
func BenchmarkRegroup(b *testing.B) {
	var subsets []corev1.EndpointSubset
	for i := range 20 {
		subsets = append(subsets, corev1.EndpointSubset{Addresses: some(2000*i, 2000)})
	}
	for n := range int32(5000) {
		for i := range subsets {
			if n>>(i%13)&1 == 1 {
				subsets[i].Ports = append(subsets[i].Ports, port(fmt.Sprint("p", n), 1+n))
			}
		}
	}
	for b.Loop() {
		regroup(subsets)
	}
}
