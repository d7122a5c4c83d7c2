package apiserver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"runtime"
	"strconv"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8sruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"seatrial.dev/seatrial/cluster/kinds"
)

// answerObject writes a stored object in the form that was asked for.
func (c *call) answerObject(code int, o kinds.Object) error {
	shown, err := c.show(o)
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	return c.answer(code, shown)
}

// show is a stored object in the form that was asked for.
func (c *call) show(o kinds.Object) (k8sruntime.Object, error) {
	switch c.out.form {
	case formTable:
		return c.table([]kinds.Object{o}, metav1.ListMeta{ResourceVersion: o.GetResourceVersion()})
	case formMeta:
		return c.out.metaOf(o), nil
	}
	return c.res.typed(o)
}

// metaOf is an object's metadata alone.
func (out output) metaOf(o kinds.Object) *metav1.PartialObjectMetadata {
	p := &metav1.PartialObjectMetadata{ObjectMeta: *o.(metav1.ObjectMetaAccessor).GetObjectMeta().(*metav1.ObjectMeta)}
	p.SetGroupVersionKind(out.metaGroup().WithKind("PartialObjectMetadata"))
	return p
}

func (out output) metaGroup() schema.GroupVersion {
	if out.v1beta {
		return schema.GroupVersion{Group: "meta.k8s.io", Version: "v1beta1"}
	}
	return schema.GroupVersion{Group: "meta.k8s.io", Version: "v1"}
}

// answerList writes a page of a list in the form that was asked for.
func (c *call) answerList(p *page) error {
	meta := metav1.ListMeta{ResourceVersion: strconv.FormatUint(p.rv, 10), Continue: p.next}
	if p.remaining >= 0 {
		meta.RemainingItemCount = &p.remaining
	}
	switch c.out.form {
	case formTable:
		t, err := c.table(p.items, meta)
		if err != nil {
			return apierrors.NewInternalError(err)
		}
		return c.answer(200, t)
	case formMeta:
		list := &metav1.PartialObjectMetadataList{ListMeta: meta, Items: make([]metav1.PartialObjectMetadata, len(p.items))}
		for i, o := range p.items {
			list.Items[i] = *c.out.metaOf(o)
		}
		list.SetGroupVersionKind(c.out.metaGroup().WithKind("PartialObjectMetadataList"))
		return c.answer(200, list)
	}
	if c.out.media == mediaProto {
		return c.answerProtoList(p.items, meta)
	}
	return c.answerJSONList(p.items, meta)
}

// answerJSONList writes a list as JSON or, from it, YAML. The items are encoded by
// as many goroutines as there are processors: they are most of the work.
func (c *call) answerJSONList(items []kinds.Object, meta metav1.ListMeta) error {
	gv, kind := c.res.gvk.ToAPIVersionAndKind()
	m, err := json.Marshal(meta)
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	head := []byte(`{"kind":"` + kind + `List","apiVersion":"` + gv + `","metadata":` + string(m) + `,"items":[`)
	parts, err := encodeChunks(items, func(b *bytes.Buffer, chunk []kinds.Object) error { return c.jsonItems(b, chunk) })
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	all := append([][]byte{head}, parts...)
	for i := 2; i < len(all); i++ {
		all[i-1] = append(all[i-1], ',')
	}
	all = append(all, []byte("]}\n"))
	switch {
	case c.out.media == mediaYAML:
		text, err := yaml.JSONToYAML(bytes.Join(all, nil))
		if err != nil {
			return apierrors.NewInternalError(err)
		}
		all = [][]byte{text}
	case c.out.pretty:
		var b bytes.Buffer
		if err := json.Indent(&b, bytes.Join(all, nil), "", "  "); err != nil {
			return apierrors.NewInternalError(err)
		}
		all = [][]byte{b.Bytes()}
	}
	c.send(200, c.out.media, all...)
	return nil
}

func (c *call) jsonItems(b *bytes.Buffer, chunk []kinds.Object) error {
	enc := json.NewEncoder(b)
	for i, o := range chunk {
		if i > 0 {
			b.WriteByte(',')
		}
		var item any = o
		if c.res.old {
			t, err := c.res.typed(o)
			if err != nil {
				return err
			}
			t.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
			item = t
		}
		if err := enc.Encode(item); err != nil {
			return err
		}
		b.Truncate(b.Len() - 1) // Encode ends a line
	}
	return nil
}

// chunkObjects is how many objects one goroutine encodes at a time.
const chunkObjects = 256

// encodeChunks encodes objects in pieces, in order, on all processors.
func encodeChunks(items []kinds.Object, encode func(*bytes.Buffer, []kinds.Object) error) ([][]byte, error) {
	n := (len(items) + chunkObjects - 1) / chunkObjects
	parts, errs := make([][]byte, n), make([]error, n)
	one := func(i int) {
		defer func() { // a panic on a goroutine of its own would end the process
			if p := recover(); p != nil {
				errs[i] = fmt.Errorf("encode objects: %v", p)
			}
		}()
		var b bytes.Buffer
		errs[i] = encode(&b, items[i*chunkObjects:min((i+1)*chunkObjects, len(items))])
		parts[i] = b.Bytes()
	}
	workers := min(runtime.GOMAXPROCS(0), n)
	if workers <= 1 {
		for i := range n {
			one(i)
		}
		return parts, firstOf(errs...)
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n; i += workers {
				one(i)
			}
		})
	}
	wg.Wait()
	return parts, firstOf(errs...)
}
