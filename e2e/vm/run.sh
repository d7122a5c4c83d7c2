#!/usr/bin/env bash
# Runs e2e/vm/inside.sh in a virtual machine with Debian's own kernel and control groups
# v2, whatever this machine has. As root, on Debian; needs nothing but its packages:
#
#   make vm
#
# The machine's files are seen by the guest, read-only, below a layer in memory, so that
# bin/ and the tools of this machine are there. KVM is used where it works; without it
# the guest is emulated, some twenty times slower. What is made stays in out/vm.
set -euo pipefail
cd "$(dirname "$0")/../.."
repository=$PWD
work=$repository/out/vm
limit_seconds=${VM_SECONDS:-1500} # for the guest, from its start to its end
suite=bookworm

say() { echo "vm: $*" >&2; }

[ "$(id -u)" = 0 ] || { say "debootstrap needs root: run it by sudo"; exit 2; }
for tool in qemu-system-x86_64:qemu-system-x86 debootstrap:debootstrap mke2fs:e2fsprogs; do
	command -v "${tool%%:*}" >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${tool##*:}" >/dev/null
done

# The guest's own root: a kernel with its modules, and enough of Debian to mount the rest.
root=$work/root
if [ ! -f "$work/disk.img" ]; then
	say "making the guest's disk (some minutes)"
	rm -rf "$work"; mkdir -p "$work"
	debootstrap --variant=minbase --include=initramfs-tools,kmod,iproute2 "$suite" "$root" >"$work/debootstrap.log"
	mount --bind /proc "$root/proc"
	trap 'umount "$root/proc" 2>/dev/null || true' EXIT
	chroot "$root" sh -c 'apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq linux-image-amd64' >>"$work/debootstrap.log" 2>&1
	umount "$root/proc"
	cp "$root"/boot/vmlinuz-* "$work/vmlinuz"
	cp "$root"/boot/initrd.img-* "$work/initrd"
	rm -rf "$root/boot" "$root/var/cache/apt" "$root/var/lib/apt/lists"
	install -m 755 e2e/vm/init.sh "$root/sbin/vminit"
	mke2fs -q -t ext4 -d "$root" "$work/disk.img" 2G
	rm -rf "$root"
fi

# A guest that has not begun after some time never will: KVM inside of a virtual machine
# may be there and not work.
boot() { # ACCELERATOR CPU SECONDS: until the guest has ended; false if it did not begin
	rm -rf "$work/shared"; mkdir -p "$work/shared"
	timeout -k 5 "$limit_seconds" qemu-system-x86_64 -accel "$1" -cpu "$2" -m 6G -smp 2 -nographic -no-reboot -nic none \
		-kernel "$work/vmlinuz" -initrd "$work/initrd" \
		-append "console=ttyS0 root=/dev/vda rw init=/sbin/vminit panic=1 quiet vm.repository=$repository" \
		-drive "file=$work/disk.img,if=virtio,format=raw,snapshot=on" \
		-virtfs "local,path=/,mount_tag=host,security_model=none,multidevs=remap,readonly=on" \
		-virtfs "local,path=$work/shared,mount_tag=shared,security_model=none" </dev/null >"$work/console" 2>&1 &
	local qemu=$!
	for _ in $(seq "$3"); do
		[ ! -f "$work/shared/started" ] && kill -0 "$qemu" 2>/dev/null || break
		sleep 1
	done
	if [ ! -f "$work/shared/started" ]; then
		kill "$qemu" 2>/dev/null || true
		wait "$qemu" 2>/dev/null || true
		return 1
	fi
	wait "$qemu" || true
}

booted=
if [ -w /dev/kvm ]; then
	say "booting with KVM"
	if boot kvm host,-arch-capabilities 40; then booted=yes; else say "KVM does not work here"; fi
fi
if [ -z "$booted" ]; then
	say "booting by emulation"
	boot tcg,thread=multi max 300 || { say "the guest did not start: $work/console"; exit 3; }
fi
cat "$work/shared/log"
[ -f "$work/shared/passed" ] || { say "failed, or not done in ${limit_seconds} s"; exit 1; }
say "passed"
