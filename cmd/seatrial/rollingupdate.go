package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/clientcmd"

	"seatrial.dev/seatrial/cmd/seatrial/rollingupdate"
	"seatrial.dev/seatrial/sim/serve"
)

type rollingUpdateFlags struct {
	kubeconfig string
	overrides  clientcmd.ConfigOverrides
	file       string
	image      rollingupdate.Image
	rollback   bool
	period     time.Duration
	timeout    time.Duration
	poll       time.Duration
}

func rollingUpdateCommand() *cobra.Command {
	var f rollingUpdateFlags
	c := &cobra.Command{
		Use:   "rolling-update OLD [NEW] (-f FILE | --image IMAGE | --rollback)",
		Short: "Replace one replication controller by another, pod by pod",
		Long: `Replaces a replication controller by the one in a file, or by one that differs in its
image, as older versions of kubectl did: the new one grows by one pod, and after the
update period, when that is ready, the old one shrinks by one. With --image and no NEW,
the new one takes the old one's name in the end. An update that was interrupted goes on
when it is called again; --rollback goes back.

Periods are of the cluster's time; that of a served cluster is under seatrial clock.`,
		Example: `  seatrial kubectl rolling-update frontend-v1 -f frontend-v2.yaml
  seatrial kubectl rolling-update frontend --image demo/frontend:2 --update-period 10s
  seatrial kubectl rolling-update frontend-v1 frontend-v2 --rollback`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 || len(args) > 2 {
				return fmt.Errorf("%s wants the name of a replication controller, for example:\n%s", c.CommandPath(), c.Example)
			}
			return nil
		},
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(c *cobra.Command, args []string) error {
			return rollingUpdate(c.Context(), f, append(args, "")[:2])
		},
	}
	flags := c.Flags()
	flags.StringVarP(&f.file, "filename", "f", "", "file with the new replication controller; - is standard input")
	flags.StringVar(&f.image.Image, "image", "", "image of the new replication controller, otherwise like the old one")
	flags.StringVar(&f.image.Container, "container", "", "container that gets the image, where there are several")
	flags.StringVar(&f.image.Label, "deployment-label-key", "deployment", "label that is to tell the pods of the two apart, with --image")
	flags.BoolVar(&f.rollback, "rollback", false, "undo an update that was interrupted")
	flags.DurationVar(&f.period, "update-period", time.Minute, "time between scaling up and scaling down")
	flags.DurationVar(&f.timeout, "timeout", 5*time.Minute, "time without any progress after which to give up")
	flags.DurationVar(&f.poll, "poll-interval", 3*time.Second, "time between looks at a cluster that is not simulated")
	flags.StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig to use")
	flags.StringVar(&f.overrides.CurrentContext, "context", "", "context of the kubeconfig to use")
	flags.StringVarP(&f.overrides.ClusterInfo.Server, "server", "s", "", "address of the API server")
	flags.StringVarP(&f.overrides.Context.Namespace, "namespace", "n", "", "namespace of the replication controllers")
	c.MarkFlagsMutuallyExclusive("filename", "image")
	return c
}

func rollingUpdate(ctx context.Context, f rollingUpdateFlags, names []string) error {
	if f.file == "" && f.image.Image == "" && !f.rollback {
		return status{exitInput, errors.New("rolling-update: must specify --filename or --image for new controller")}
	}
	if f.poll <= 0 {
		return status{exitInput, fmt.Errorf("--poll-interval %v: want more than 0", f.poll)}
	}
	u, err := f.updater(ctx)
	if err != nil {
		return status{exitInput, err}
	}
	old, err := u.Client.ReplicationControllers(u.Namespace).Get(ctx, names[0], metav1.GetOptions{})
	if err != nil {
		return status{exitInput, err}
	}
	if f.rollback {
		err = rollBack(ctx, u, f, old, names[1])
	} else {
		err = rollOn(ctx, u, f, old, names[1])
	}
	switch {
	case ctx.Err() != nil:
		return status{exitStopped, errors.New("stopped; call it again to go on, or with --rollback to go back")}
	case err != nil:
		return status{exitFailed, err}
	}
	return nil
}

// updater finds the cluster as kubectl does.
func (f rollingUpdateFlags) updater(ctx context.Context) (*rollingupdate.Updater, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = f.kubeconfig
	found := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &f.overrides)
	config, err := found.ClientConfig()
	if err != nil {
		return nil, err
	}
	namespace, _, err := found.Namespace()
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = 100, 100
	client, err := typedcorev1.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return &rollingupdate.Updater{
		Client: client, Namespace: namespace, UpdatePeriod: f.period, Timeout: f.timeout, Out: os.Stdout,
		Clock: rollingupdate.NewClock(ctx, client.RESTClient(), serve.ClockPath, f.poll, os.Stderr),
	}, nil
}

func rollOn(ctx context.Context, u *rollingupdate.Updater, f rollingUpdateFlags, old *corev1.ReplicationController, name string) (err error) {
	var next *corev1.ReplicationController
	keepName := f.image.Image != "" && name == ""
	if f.image.Image != "" {
		f.image.Name = name
		old, next, err = u.WithImage(ctx, old, f.image)
	} else {
		next, err = readController(f.file)
	}
	if err != nil {
		return err
	}
	if err := u.Update(ctx, old, next, keepName); err != nil {
		return err
	}
	if keepName {
		fmt.Printf("replicationcontroller/%s rolling updated\n", old.Name)
	} else {
		fmt.Printf("replicationcontroller/%[1]s rolling updated to %[1]q\n", next.Name)
	}
	return nil
}

func rollBack(ctx context.Context, u *rollingupdate.Updater, f rollingUpdateFlags, old *corev1.ReplicationController, name string) error {
	if name == "" {
		name = rollingupdate.Next(old)
	}
	if name == "" && f.file != "" {
		next, err := readController(f.file)
		if err != nil {
			return err
		}
		name = next.Name
	}
	if name == "" {
		return fmt.Errorf("--rollback: name the replication controller that %s was being updated to", old.Name)
	}
	next, err := u.Client.ReplicationControllers(u.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if err := u.Rollback(ctx, old, next); err != nil {
		return err
	}
	fmt.Printf("replicationcontroller/%[1]s rolling updated to %[1]q\n", old.Name)
	return nil
}

func readController(file string) (*corev1.ReplicationController, error) {
	var text []byte
	var err error
	if file == "-" {
		text, err = io.ReadAll(os.Stdin)
	} else {
		text, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, fmt.Errorf("read the new controller: %w", err)
	}
	o, err := runtime.Decode(scheme.Codecs.UniversalDeserializer(), text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	rc, ok := o.(*corev1.ReplicationController)
	if !ok {
		return nil, fmt.Errorf("%s contains a %s, not a ReplicationController", file, o.GetObjectKind().GroupVersionKind().Kind)
	}
	return rc, nil
}
