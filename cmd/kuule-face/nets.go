//go:build cgo

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	ort "github.com/yalue/onnxruntime_go"

	"kuule/kiosk-bridge/face"
	"kuule/kiosk-bridge/face/pipeline"
)

// nets are the three networks, loaded.
type nets struct {
	detect, landmark, feature network
}

type network struct {
	session *ort.AdvancedSession
	in      *ort.Tensor[float32]
	out     []*ort.Tensor[float32]
}

var _ pipeline.Nets = (*nets)(nil)

// load opens the library and the models of a folder.
func load(folder string) (*nets, error) {
	ort.SetSharedLibraryPath(filepath.Join(folder, face.FileLibrary))
	if err := ort.InitializeEnvironment(ort.WithLogLevelError()); err != nil {
		return nil, fmt.Errorf("load onnxruntime: %w", err)
	}
	n := &nets{}
	var errs [3]error
	n.detect, errs[0] = model(folder, face.FileDetect, shape(1, 3, pipeline.DetectHeight, pipeline.DetectWidth), shape(1, pipeline.Anchors, 2), shape(1, pipeline.Anchors, 4))
	n.landmark, errs[1] = model(folder, face.FileLandmark, shape(1, 1, pipeline.LandmarkSide, pipeline.LandmarkSide), shape(1, 2*pipeline.Landmarks))
	n.feature, errs[2] = model(folder, face.FileFeature, shape(1, 3, pipeline.FeatureSide, pipeline.FeatureSide), shape(1, face.Dimensions))
	return n, errors.Join(errs[:]...)
}

func shape(of ...int64) ort.Shape { return ort.NewShape(of...) }

func model(folder, name string, in ort.Shape, out ...ort.Shape) (network, error) {
	fail := func(err error) (network, error) { return network{}, fmt.Errorf("load model %s: %w", name, err) }
	data, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		return fail(err)
	}
	inputs, outputs, err := ort.GetInputOutputInfoWithONNXData(data)
	if err != nil {
		return fail(err)
	}
	if len(inputs) != 1 || len(outputs) < len(out) {
		return fail(fmt.Errorf("%d inputs, %d outputs", len(inputs), len(outputs)))
	}
	n := network{}
	if n.in, err = ort.NewEmptyTensor[float32](in); err != nil {
		return fail(err)
	}
	names := make([]string, len(out))
	values := make([]ort.Value, len(out))
	for i, s := range out {
		t, err := ort.NewEmptyTensor[float32](s)
		if err != nil {
			return fail(err)
		}
		n.out, names[i], values[i] = append(n.out, t), outputs[i].Name, t
	}
	options, err := ort.NewSessionOptions()
	if err != nil {
		return fail(err)
	}
	if err := errors.Join(options.SetIntraOpNumThreads(1), options.SetInterOpNumThreads(1)); err != nil {
		return fail(err)
	}
	n.session, err = ort.NewAdvancedSessionWithONNXData(data, []string{inputs[0].Name}, names, []ort.Value{n.in}, values, options)
	if err != nil {
		return fail(err)
	}
	return n, nil
}

func (n network) run(in []float32) error {
	if copy(n.in.GetData(), in) != len(in) || len(in) != len(n.in.GetData()) {
		return fmt.Errorf("%d numbers for a network of %d", len(in), len(n.in.GetData()))
	}
	return n.session.Run()
}

func (n *nets) version() string {
	return face.EngineName + " (onnxruntime " + ort.GetVersion() + ")"
}

func (n *nets) Detect(planes []float32) (scores, boxes []float32, err error) {
	if err := n.detect.run(planes); err != nil {
		return nil, nil, err
	}
	return n.detect.out[0].GetData(), n.detect.out[1].GetData(), nil
}

func (n *nets) Landmarks(grey []float32) ([]float32, error) {
	if err := n.landmark.run(grey); err != nil {
		return nil, err
	}
	return n.landmark.out[0].GetData(), nil
}

func (n *nets) Features(planes []float32) ([]float32, error) {
	if err := n.feature.run(planes); err != nil {
		return nil, err
	}
	return n.feature.out[0].GetData(), nil
}
