// Reading a directory of manifests, bounded: a wrong path must not fill the memory or hang on a pipe.

import Foundation
public import MeshModel

/// The text of one manifest file.
public struct ManifestFile: Sendable {
    /// The name inside its directory.
    public let name: String
    /// What errors call it.
    public let path: String
    /// Its content.
    public let bytes: [UInt8]

    /// Makes a file; errors call it by its name unless a path is given.
    public init(name: String, path: String? = nil, bytes: [UInt8]) {
        self.name = name
        self.path = path ?? name
        self.bytes = bytes
    }

    /// Whether a file of this name is a manifest: `*.yaml` or `*.yml`, not hidden.
    ///
    /// Editors' temporaries and Kubernetes' `..data` start with a dot.
    public static func isManifest(name: String) -> Bool {
        !name.hasPrefix(".") && (name.hasSuffix(".yaml") || name.hasSuffix(".yml"))
    }

    /// The manifests of a directory (not of those below it), ordered by name.
    ///
    /// Links are followed, as Kubernetes' mounted ConfigMaps consist of them; what is no regular
    /// file in the end is refused.
    public static func read(directory: String) throws(ConfigErrors) -> [ManifestFile] {
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: directory)
                .filter(isManifest).sorted()
        } catch {
            throw ConfigErrors([
                ConfigError(
                    file: directory,
                    problem: "cannot read the directory: \(reason(error))"
                )
            ])
        }
        guard names.count <= CatalogLimits.filesMax else {
            throw ConfigErrors([
                ConfigError(
                    file: directory,
                    problem: "too many manifests",
                    value: "\(names.count)",
                    allowed: "up to \(CatalogLimits.filesMax)"
                )
            ])
        }
        var files: [ManifestFile] = []
        var errors: [ConfigError] = []
        var total = 0
        for name in names {
            let path = directory.hasSuffix("/") ? directory + name : "\(directory)/\(name)"
            do throws(ConfigError) {
                let file = try read(name: name, path: path)
                total += file.bytes.count
                files.append(file)
            } catch {
                errors.append(error)
            }
            guard total <= CatalogLimits.totalBytesMax else {
                errors.append(
                    ConfigError(
                        file: directory,
                        problem: "the manifests are too large together",
                        allowed: "up to \(CatalogLimits.totalBytesMax) bytes"
                    )
                )
                break
            }
        }
        guard errors.isEmpty else { throw ConfigErrors(errors) }
        return files
    }

    private static func read(name: String, path: String) throws(ConfigError) -> ManifestFile {
        let url = URL(fileURLWithPath: path).resolvingSymlinksInPath()
        do {
            let attributes = try FileManager.default.attributesOfItem(atPath: url.path)
            guard attributes[.type] as? FileAttributeType == .typeRegular else {
                throw ConfigError(file: path, problem: "not a regular file")
            }
            let handle = try FileHandle(forReadingFrom: url)
            defer { try? handle.close() }
            // One byte more than allowed: the file may grow after it was looked at.
            let content = try handle.read(upToCount: CatalogLimits.fileBytesMax + 1) ?? Data()
            guard content.count <= CatalogLimits.fileBytesMax else {
                throw ConfigError(
                    file: path,
                    problem: "the file is too large",
                    allowed: "up to \(CatalogLimits.fileBytesMax) bytes"
                )
            }
            return ManifestFile(name: name, path: path, bytes: Array(content))
        } catch let error as ConfigError {
            throw error
        } catch {
            throw ConfigError(file: path, problem: "cannot read the file: \(reason(error))")
        }
    }

    /// The kernel's words where Foundation wraps them.
    private static func reason(_ error: any Error) -> String {
        let underlying = (error as NSError).userInfo[NSUnderlyingErrorKey] as? any Error
        guard let underlying else { return error.localizedDescription }
        return underlying.localizedDescription
    }
}
