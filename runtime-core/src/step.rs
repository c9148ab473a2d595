//! The vocabulary: everything that can happen inside a container before the user's program runs.
//!
//! Planner, init program, listing and fuzzers meet here and nowhere else. A new step is a new line in [`Step`]; the
//! compiler then asks for it where steps are executed (`init/`) and listed (`plan/listing.rs`), and the encoding
//! follows from this declaration.

use crate::wire::{Form, Put, Reader, Sink, Take};

/// Declares a type of the vocabulary in both forms, with its encoding.
macro_rules! vocabulary {
    ($(#[$meta:meta])* pub struct $name:ident {
        $( $(#[$field_meta:meta])* $field:ident : $type:ty, )*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name<F: Form> { $( $(#[$field_meta])* pub $field: $type, )* }

        #[cfg(not(init))]
        impl Put for $name<crate::plan::Owned> {
            fn put(&self, out: &mut dyn Sink) { $( self.$field.put(out); )* }
        }

        impl<'a> Take<'a> for $name<crate::wire::Borrowed<'a>> {
            fn take(reader: &mut Reader<'a>) -> Option<Self> {
                Some($name { $( $field: Take::take(reader)?, )* })
            }
        }
    };
    ($(#[$meta:meta])* pub enum $name:ident {
        $( $(#[$variant_meta:meta])* $code:literal => $variant:ident
            $( { $( $(#[$field_meta:meta])* $field:ident : $type:ty, )* } )?, )*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub enum $name<F: Form> {
            $( $(#[$variant_meta])* $variant $( { $( $(#[$field_meta])* $field: $type, )* } )?, )*
        }

        #[cfg(not(init))]
        impl Put for $name<crate::plan::Owned> {
            fn put(&self, out: &mut dyn Sink) {
                match self {
                    $( $name::$variant $( { $( $field, )* } )? => {
                        <u8 as Put>::put(&$code, out);
                        $( $( $field.put(out); )* )?
                    } )*
                }
            }
        }

        impl<'a> Take<'a> for $name<crate::wire::Borrowed<'a>> {
            fn take(reader: &mut Reader<'a>) -> Option<Self> {
                Some(match u8::take(reader)? {
                    $( $code => $name::$variant $( { $( $field: Take::take(reader)?, )* } )?, )*
                    _ => return None,
                })
            }
        }
    };
}

/// Declares an enumeration that crosses as one byte and has a name for people.
macro_rules! words {
    ($(#[$meta:meta])* pub enum $name:ident {
        $( $(#[$word_meta:meta])* $code:literal => $word:ident = $text:literal, )*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $name { $( $(#[$word_meta])* $word = $code, )* }

        impl $name {
            /// The word that people know it by.
            pub fn word(self) -> &'static str {
                match self { $( $name::$word => $text, )* }
            }

            /// The value with that code.
            pub fn from_code(code: u8) -> Option<Self> {
                match code { $( $code => Some($name::$word), )* _ => None }
            }
        }

        impl Put for $name {
            fn put(&self, out: &mut dyn Sink) { (*self as u8).put(out); }
        }

        impl<'a> Take<'a> for $name {
            fn take(reader: &mut Reader<'a>) -> Option<Self> {
                $name::from_code(u8::take(reader)?)
            }
        }
    };
}

words! {
    /// The namespaces of Linux (config-linux.md, "Namespaces").
    pub enum Namespace {
        /// User and group ids, capabilities.
        1 => User = "user",
        /// Mount points.
        2 => Mount = "mount",
        /// Process ids.
        3 => Pid = "pid",
        /// Network devices, addresses, ports.
        4 => Network = "network",
        /// System V IPC and POSIX message queues.
        5 => Ipc = "ipc",
        /// Host name and NIS domain name.
        6 => Uts = "uts",
        /// The view of the cgroup tree.
        7 => Cgroup = "cgroup",
        /// The boot-time and monotonic clocks.
        8 => Time = "time",
    }
}

words! {
    /// How mount events travel between peer mounts; with `r`, for the mounts below too.
    pub enum Propagation {
        /// Both ways.
        1 => Shared = "shared",
        /// In, not out.
        2 => Slave = "slave",
        /// Neither way.
        3 => Private = "private",
        /// Neither way, and it can't be bind-mounted.
        4 => Unbindable = "unbindable",
        /// Both ways, recursively.
        5 => RecursiveShared = "rshared",
        /// In, not out, recursively.
        6 => RecursiveSlave = "rslave",
        /// Neither way, recursively.
        7 => RecursivePrivate = "rprivate",
        /// Neither way, not bind-mountable, recursively.
        8 => RecursiveUnbindable = "runbindable",
    }
}

words! {
    /// How a path inside the root is resolved. It never leaves the root.
    pub enum Resolve {
        /// Symlinks are followed, inside the root.
        1 => InRoot = "inside the root",
        /// A symlink anywhere on the way is an error: what is mounted here (proc, sysfs) must not be redirected.
        2 => NoSymlinks = "without symlinks",
    }
}

words! {
    /// What is made where a mount point is missing.
    pub enum Create {
        /// A directory, with its parents.
        1 => Directory = "directory",
        /// An empty file, with the directories above it.
        2 => File = "file",
        /// Whatever the mount's own root is: a directory or a file.
        3 => LikeSource = "like the source",
    }
}

words! {
    /// Types of file system nodes.
    pub enum NodeKind {
        /// A character device.
        1 => Character = "character device",
        /// A block device.
        2 => Block = "block device",
        /// A named pipe.
        3 => Fifo = "fifo",
    }
}

words! {
    /// What a security module labels.
    pub enum Labelled {
        /// What is executed next, by AppArmor.
        1 => Profile = "AppArmor profile",
        /// What is executed next, by SELinux.
        2 => Process = "SELinux label",
        /// The keys that this process makes, by SELinux.
        3 => Keys = "SELinux label of keys",
    }
}

words! {
    /// The points where init stops until the parent has done its part.
    pub enum Point {
        /// The mounts are there, the old root still is: hooks of the runtime's namespace run.
        1 => Hooks = "hooks",
        /// All but the program is in place: the parent sets what only it may and records the container.
        2 => Ready = "ready",
        /// The user wants the program to run.
        3 => Start = "start",
        /// The parent may still say something about a further process in `/proc`.
        4 => Visible = "visible",
    }
}

vocabulary! {
    /// A place inside the container's root where something is mounted.
    pub struct Target {
        /// The path, absolute, as seen from the container.
        path: F::Text,
        /// How it is resolved.
        resolve: Resolve,
        /// What to make if it is missing.
        create: Create,
        /// Whether it is known to be missing, because what lies above it was just made.
        fresh: bool,
        /// Whether it may lie on a procfs: only for the short list of files that lxcfs and its like replace.
        on_proc: bool,
    }
}

vocabulary! {
    /// A device node or named pipe.
    pub struct Node {
        /// Its name in the directory of the step.
        name: F::Text,
        /// Its type.
        kind: NodeKind,
        /// The major device number, 0 for a pipe.
        major: u32,
        /// The minor device number, 0 for a pipe.
        minor: u32,
        /// Permission bits.
        mode: u32,
        /// The owner.
        uid: u32,
        /// The group.
        gid: u32,
    }
}

vocabulary! {
    /// A symbolic link.
    pub struct Link {
        /// Its name in the directory of the step.
        name: F::Text,
        /// What it points to.
        to: F::Text,
    }
}

vocabulary! {
    /// One thing that init does. Steps are executed in order; the first failure ends the container.
    pub enum Step {
        /// Leaves the caller's world: closes inherited descriptors, clears signal state, CPU affinity and umask, starts a
        /// session.
        1 => Isolate {
            /// Signals (bit n-1 for signal n) that the caller ignored and that go back to their default.
            ignored: u64,
            /// Any CPU of the cgroup's set is allowed again.
            all_cpus: bool,
            /// Descriptors of init's own below this number are left for the execution to close.
            few: u32,
        },
        /// Enters a namespace whose descriptor the parent sends.
        2 => JoinNamespace {
            /// Its type, checked by the kernel.
            kind: Namespace,
        },
        /// A new cgroup namespace; init must stand in its cgroup already, which becomes the namespace's root.
        3 => NewCgroupNamespace,
        /// A new time namespace, with its offsets, entered at once.
        4 => NewTimeNamespace {
            /// The offsets as the kernel reads them: `monotonic SECONDS NANOSECONDS` and `boottime …`, a line each.
            offsets: F::Text,
        },
        /// A session keyring of the container's own.
        5 => JoinSessionKeyring {
            /// Its name.
            name: F::Text,
        },
        /// The network namespace's loopback device goes up.
        6 => BringLoopbackUp,
        /// Changes the propagation of the root mount.
        7 => SetPropagation {
            /// To what.
            to: Propagation,
        },
        /// Makes the root file system a mount of its own and holds it; all later paths are resolved in it.
        8 => MountRoot {
            /// The host's path of the root file system.
            path: F::Text,
        },
        /// Mounts the root file system, which is lent, over `/` and holds it; all later paths are resolved in it.
        46 => AttachRoot,
        /// Holds the root file system without mounting: for a container without a mount namespace.
        9 => HoldRoot {
            /// The host's path of the root file system.
            path: F::Text,
        },
        /// Makes a new instance of a file system and mounts it.
        10 => Mount {
            /// The file system's type, such as `tmpfs`.
            fstype: F::Text,
            /// The source, a name or a device.
            source: F::Text,
            /// Parameters of the file system, with commas between.
            data: F::Text,
            /// Take over the permission bits of the directory that it covers, if there is one (tmpfs without `mode=`).
            inherit_mode: bool,
            /// Fill it with what the directory that it covers holds.
            copy_up: bool,
            /// `MS_*` flags.
            flags: u64,
            /// Changes of its propagation, in order.
            propagation: F::List<Propagation>,
            /// Where.
            at: Target<F>,
            /// A directory of the host that is attached where the kernel grants no instance; empty for none.
            instead: F::Text,
        },
        /// Attaches a mount that the parent opened and sends.
        11 => AttachMount {
            /// Where.
            at: Target<F>,
        },
        /// Binds what the parent opened and sends, by `mount` alone.
        41 => BindMount {
            /// Whether the mounts below it come along.
            recursive: bool,
            /// `MOUNT_ATTR_*` bits to set.
            set: u64,
            /// `MOUNT_ATTR_*` bits to clear.
            clear: u64,
            /// Changes of its propagation, in order.
            propagation: F::List<Propagation>,
            /// Where.
            at: Target<F>,
        },
        /// Makes device nodes and links in one directory.
        12 => MakeNodes {
            /// The directory, inside the root.
            directory: F::Text,
            /// The nodes.
            nodes: F::List<Node<F>>,
            /// The symbolic links.
            links: F::List<Link<F>>,
            /// Whether something else that has the name is replaced; otherwise it is an error.
            replace: bool,
        },
        /// Makes a directory, with its parents, if it is missing.
        13 => MakeDirectory {
            /// Its path inside the root.
            path: F::Text,
            /// Permission bits.
            mode: u32,
        },
        /// Says "at n" to the parent and waits for the word to go on; end of file means "die".
        14 => Barrier {
            /// Which point of the container's life this is.
            point: Point,
        },
        /// Writes a kernel parameter.
        15 => WriteSysctl {
            /// Its path below /proc/sys.
            path: F::Text,
            /// The value.
            value: F::Text,
        },
        /// Makes paths read-only, with what is mounted below; a missing one is skipped.
        16 => ProtectPaths {
            /// The paths.
            paths: F::List<F::Text>,
        },
        /// Hides paths: a file behind the null device, a directory behind an empty one; a missing one is skipped.
        17 => MaskPaths {
            /// The paths.
            paths: F::List<F::Text>,
            /// Parameters of the file system of the empty directory.
            empty: F::Text,
        },
        /// Changes attributes of the mount at a path: late, after what had to be made in it.
        18 => SetAttributes {
            /// The path inside the root.
            path: F::Text,
            /// `MOUNT_ATTR_*` bits to set.
            set: u64,
            /// `MOUNT_ATTR_*` bits to clear.
            clear: u64,
            /// Whether the mounts below it change too.
            recursive: bool,
        },
        /// The held root becomes `/`; the host's tree is gone.
        19 => PivotRoot,
        /// The held root is moved over `/`: for hosts whose own root can't be pivoted away.
        20 => MoveRoot,
        /// The held root becomes `/` for this process only.
        21 => ChangeRoot,
        /// Sets the host name.
        22 => SetHostname {
            /// The name.
            name: F::Text,
        },
        /// Sets the NIS domain name.
        23 => SetDomainname {
            /// The name.
            name: F::Text,
        },
        /// No program that runs from here on can gain privileges.
        24 => ForbidNewPrivileges,
        /// Shrinks the capability bounding set.
        25 => DropBounding {
            /// The capabilities to drop, bit n for capability n.
            capabilities: u64,
        },
        /// Sets groups, user, umask and working directory; keeps permitted capabilities.
        26 => BecomeUser {
            /// User id inside the container.
            uid: u32,
            /// Group id inside the container.
            gid: u32,
            /// Whether supplementary groups are set at all (not where `setgroups` is denied).
            set_groups: bool,
            /// Supplementary groups.
            groups: F::List<u32>,
            /// The umask.
            umask: u32,
            /// The working directory. Entered before the change of user, or after it where only that user may.
            directory: F::Text,
        },
        /// Checks that there is a program to execute.
        27 => FindProgram {
            /// Paths to try in order.
            candidates: F::List<F::Text>,
        },
        /// Waits on a socket that the parent sends until `start` connects; the dialogue goes on there.
        28 => AwaitStart,
        /// Waits for the word to go on. Unlike at a barrier, nothing that the parent does before it needs init to have
        /// come so far, so the word may be there already.
        36 => AwaitWord,
        /// Enters namespaces of the process whose descriptor the parent sends, all at once.
        37 => EnterContainer {
            /// Which.
            kinds: F::List<Namespace>,
        },
        /// Filters system calls from here on.
        29 => InstallSeccomp {
            /// `SECCOMP_FILTER_FLAG_*` bits.
            flags: u32,
            /// Which blob of the message holds the compiled program.
            filter: u32,
        },
        /// Sets the capability sets of the program, bit n for capability n.
        30 => SetCapabilities {
            /// What is in force.
            effective: u64,
            /// What may be in force.
            permitted: u64,
            /// What an execution keeps together with the file's inheritable set.
            inheritable: u64,
            /// What an execution keeps without the file's help.
            ambient: u64,
        },
        /// Finds the user's home in the container's /etc/passwd, for HOME, which the environment doesn't have; `/` if there is
        /// none.
        35 => FindHome {
            /// The user.
            uid: u32,
        },
        /// Executes the user's program: the first candidate that exists and may be executed.
        31 => Execute {
            /// Paths to try in order.
            candidates: F::List<F::Text>,
            /// The arguments, the program's own name first.
            arguments: F::List<F::Text>,
            /// The environment, `NAME=value` each.
            environment: F::List<F::Text>,
        },
        /// Sets the execution domain, such as that of 32-bit programs.
        32 => SetPersonality {
            /// The execution domain's number.
            domain: u64,
        },
        /// Sets on which memory nodes this process and those that it bears allocate.
        43 => SetMemoryPolicy {
            /// `MPOL_*` number with `MPOL_F_*` bits.
            mode: u32,
            /// The nodes, bit n of word m for node 64m+n.
            nodes: F::List<u64>,
        },
        /// Sets a resource limit, while that is still allowed.
        34 => SetLimit {
            /// `RLIMIT_*` number.
            resource: u32,
            /// The soft limit.
            soft: u64,
            /// The hard limit.
            hard: u64,
        },
        /// Gives the standard streams to the program's user, where that is possible, and opens those again that are the
        /// null device.
        40 => TakeStreams {
            /// The user.
            uid: u32,
            /// Whether there is a null device of the container's own to open.
            own_null: bool,
        },
        /// No other process can trace this one or look into its descriptors until the program runs.
        33 => Conceal,
        /// Opens a terminal in the root's own devpts, makes it the standard streams and the controlling terminal, and
        /// says "at n" with its master. Nobody waits for a word.
        38 => OpenTerminal {
            /// Height in characters, 0 for unknown.
            rows: u32,
            /// Width in characters, 0 for unknown.
            columns: u32,
            /// The user who may open it again.
            owner: u32,
            /// Whether it is mounted on /dev/console too.
            console: bool,
            /// Whether it becomes this session's controlling terminal; otherwise that of the newborn's, later.
            control: bool,
        },
        /// Is born once more, in a session of its own, in the pid namespace that was entered: only a birth leads there.
        /// Says so to the parent with a descriptor of the newborn, its sibling, which goes on; this process ends.
        39 => Emerge {
            /// Whether standard input becomes the new session's controlling terminal.
            terminal: bool,
        },
        /// Filters system calls from here on, and says "at n" with the descriptor at which an agent is asked about some of
        /// them. Waits for the word to go on in a call of its own, which is asked about and never made.
        42 => InstallSeccompWithAgent {
            /// `SECCOMP_FILTER_FLAG_*` bits.
            flags: u32,
            /// Which blob of the message holds the compiled program.
            filter: u32,
            /// The number of that call.
            rendezvous: u32,
        },
        /// Tells a security module how to label what this process executes next, or the keys that it makes.
        44 => SetLabel {
            /// What is labelled, and by which module.
            of: Labelled,
            /// The label as the module reads it: a context, or `exec` and the name of a profile.
            label: F::Text,
        },
        /// Gives a SELinux label to the file system that is mounted at a path: one that takes none when it is mounted.
        45 => LabelMount {
            /// The path inside the root.
            path: F::Text,
            /// The label.
            label: F::Text,
        },
    }
}

words! {
    /// The system calls and checks of init that can fail, as a failure names them.
    pub enum Call {
        /// The message was malformed.
        1 => Message = "read the plan",
        /// `recvmsg` on the dialogue.
        2 => Receive = "recvmsg",
        /// `sendmsg` on the dialogue.
        3 => Send = "sendmsg",
        /// `close_range`.
        4 => CloseRange = "close_range",
        /// `rt_sigaction` or `rt_sigprocmask`.
        5 => Signal = "rt_sigaction",
        /// `setsid`.
        6 => Setsid = "setsid",
        /// `prctl`.
        7 => Prctl = "prctl",
        /// `setns`.
        8 => Setns = "setns",
        /// `unshare`.
        9 => Unshare = "unshare",
        /// `open`, `openat` or `openat2`.
        10 => Open = "openat2",
        /// `write`.
        11 => Write = "write",
        /// `read`.
        12 => Read = "read",
        /// `keyctl`.
        13 => Keyctl = "keyctl",
        /// `socket`.
        14 => Socket = "socket",
        /// `ioctl`.
        15 => Ioctl = "ioctl",
        /// `mount`.
        16 => Mount = "mount",
        /// `open_tree`.
        17 => OpenTree = "open_tree",
        /// `move_mount`.
        18 => MoveMount = "move_mount",
        /// `prlimit64`.
        19 => Prlimit = "prlimit",
        /// `mount_setattr`.
        23 => MountSetattr = "mount_setattr",
        /// `mkdirat`.
        24 => Mkdir = "mkdirat",
        /// `mknodat`.
        25 => Mknod = "mknodat",
        /// `symlinkat`.
        26 => Symlink = "symlinkat",
        /// `fchownat`.
        27 => Chown = "fchownat",
        /// `fchmod`.
        28 => Chmod = "fchmod",
        /// `fstat`, `statx` or `fstatfs`.
        29 => Stat = "fstat",
        /// `pivot_root`.
        30 => PivotRoot = "pivot_root",
        /// `umount2`.
        31 => Unmount = "umount2",
        /// `chroot`.
        32 => Chroot = "chroot",
        /// `chdir` or `fchdir`.
        33 => Chdir = "chdir",
        /// `sethostname`.
        34 => Sethostname = "sethostname",
        /// `setdomainname`.
        35 => Setdomainname = "setdomainname",
        /// `setgroups`.
        36 => Setgroups = "setgroups",
        /// `setresgid`.
        37 => Setresgid = "setresgid",
        /// `setresuid`.
        38 => Setresuid = "setresuid",
        /// `capset`.
        39 => Capset = "capset",
        /// `seccomp`.
        40 => Seccomp = "seccomp",
        /// `accept4`.
        41 => Accept = "accept4",
        /// `execve`.
        42 => Execve = "execve",
        /// `faccessat`.
        43 => Access = "faccessat",
        /// `unlinkat`.
        44 => Unlink = "unlinkat",
        /// `getdents64`.
        45 => Getdents = "getdents64",
        /// `personality`.
        46 => Personality = "personality",
        /// `mmap`.
        47 => Mmap = "mmap",
        /// `getcwd`.
        48 => Getcwd = "getcwd",
        /// The check that a mount point does not lie on a procfs.
        49 => NotOnProc = "check that the mount point is not inside /proc",
        /// The check that a directory is the root of the real procfs.
        50 => TrustedProc = "check that /proc is a procfs",
        /// The check that the working directory is inside the root.
        51 => InsideRoot = "check that the working directory is inside the root",
        /// The check that a node is the one that was asked for.
        52 => RightNode = "check the node",
        /// Execution of init itself, in the trampoline.
        53 => ExecInit = "execveat of the init program",
        /// `setresuid` or `setresgid` in the trampoline.
        54 => BecomeRoot = "become root of the user namespace",
        /// `clone3` in the trampoline.
        55 => Clone = "clone3",
        /// `openat2` of a terminal's master, and the check that it comes from a devpts.
        56 => OpenMaster = "open ptmx of a devpts at /dev/pts",
        /// `dup3`.
        57 => Dup = "dup3",
        /// `set_mempolicy`.
        58 => SetMempolicy = "set_mempolicy",
        /// The check that a security module has taken a label.
        59 => LabelTaken = "check that the label was taken",
        /// `fsetxattr`, `fgetxattr` or `flistxattr`.
        60 => Xattr = "fsetxattr",
        /// The check that a mount is the one that was just made.
        61 => RightMount = "check the mount",
    }
}
