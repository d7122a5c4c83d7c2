package apiserver

import (
	"bytes"
	"encoding/binary"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"seatrial.dev/seatrial/cluster/kinds"
)

// protoMagic begins every object in Kubernetes' protobuf encoding
// (kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding-idl).
const protoMagic = "k8s\x00"

// protoMessage is what the types of k8s.io/api generate.
type protoMessage interface {
	Size() int
	MarshalToSizedBuffer([]byte) (int, error)
}

// Field tags of a list (1 metadata, 2 items) and of runtime.Unknown (1 type, 2 the
// object), all length-delimited.
const (
	tag1 = 1<<3 | 2
	tag2 = 2<<3 | 2
)

// answerProtoList writes a list without building one: every list type has its
// metadata in field 1 and its items in field 2.
func (c *call) answerProtoList(items []kinds.Object, meta metav1.ListMeta) error {
	parts, err := encodeChunks(items, c.protoItems)
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	m, err := meta.Marshal()
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	listHead := appendField(nil, tag1, m)
	size := len(listHead)
	for _, p := range parts {
		size += len(p)
	}
	apiVersion, kind := c.res.gvk.ToAPIVersionAndKind()
	tm := runtime.TypeMeta{APIVersion: apiVersion, Kind: kind + "List"}
	t, err := tm.Marshal()
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	head := appendField([]byte(protoMagic), tag1, t)
	head = binary.AppendUvarint(append(head, tag2), uint64(size))
	tail := []byte{3<<3 | 2, 0, 4<<3 | 2, 0} // no content encoding, no content type
	all := append([][]byte{head, listHead}, parts...)
	c.send(200, mediaProto, append(all, tail)...)
	return nil
}

func appendField(b []byte, tag byte, value []byte) []byte {
	return append(binary.AppendUvarint(append(b, tag), uint64(len(value))), value...)
}

func (c *call) protoItems(b *bytes.Buffer, chunk []kinds.Object) error {
	for _, o := range chunk {
		var item runtime.Object = o
		if c.res.old {
			t, err := c.res.typed(o)
			if err != nil {
				return err
			}
			item = t
		}
		m, ok := item.(protoMessage)
		if !ok {
			return fmt.Errorf("%T has no protobuf encoding", item)
		}
		size := m.Size()
		b.Grow(size + 1 + binary.MaxVarintLen64)
		buf := binary.AppendUvarint(append(b.AvailableBuffer(), tag2), uint64(size))
		start := len(buf)
		buf = buf[:start+size]
		if _, err := m.MarshalToSizedBuffer(buf[start:]); err != nil {
			return err
		}
		b.Write(buf)
	}
	return nil
}
