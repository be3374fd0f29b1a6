package portaltest;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.DefaultProfileValidationSupport;
import ca.uhn.fhir.parser.IParser;
import ca.uhn.fhir.validation.FhirValidator;
import ca.uhn.fhir.validation.ResultSeverityEnum;
import ca.uhn.fhir.validation.SingleValidationMessage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.hl7.fhir.common.hapi.validation.support.CommonCodeSystemsTerminologyService;
import org.hl7.fhir.common.hapi.validation.support.InMemoryTerminologyServerValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.PrePopulatedValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.SnapshotGeneratingValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.ValidationSupportChain;
import org.hl7.fhir.common.hapi.validation.validator.FhirInstanceValidator;
import org.hl7.fhir.instance.model.api.IBaseResource;
import org.hl7.fhir.r4.model.Bundle;

/**
 * Says whether R4 JSON files hold to the specification and to the profiles in the named folders.
 *
 * <p>Arguments: [--profiles FOLDER]... FILE... One line a file, "valid" or "INVALID", with each finding below it.
 * Ends with 1 when any file has an error.
 */
public final class Validate {
    private static final FhirContext R4 = FhirContext.forR4Cached();

    private Validate() {}

    public static void main(String[] arguments) throws IOException {
        PrePopulatedValidationSupport profiles = new PrePopulatedValidationSupport(R4);
        List<Path> files = new ArrayList<>();
        for (int at = 0; at < arguments.length; at++) {
            if (arguments[at].equals("--profiles")) {
                readProfiles(Path.of(arguments[++at]), profiles);
            } else {
                files.add(Path.of(arguments[at]));
            }
        }
        FhirValidator validator = validator(profiles);
        int invalid = 0;
        for (Path file : files) {
            invalid += isValid(validator, file) ? 0 : 1;
        }
        System.exit(invalid == 0 ? 0 : 1);
    }

    private static FhirValidator validator(PrePopulatedValidationSupport profiles) {
        FhirInstanceValidator module = new FhirInstanceValidator(new ValidationSupportChain(
                new DefaultProfileValidationSupport(R4),
                profiles,
                new CommonCodeSystemsTerminologyService(R4),
                new InMemoryTerminologyServerValidationSupport(R4),
                new SnapshotGeneratingValidationSupport(R4)));
        module.setErrorForUnknownProfiles(true);
        module.setAnyExtensionsAllowed(true);
        return R4.newValidator().registerValidatorModule(module);
    }

    private static boolean isValid(FhirValidator validator, Path file) throws IOException {
        var result = validator.validateWithResult(Files.readString(file));
        System.out.println((result.isSuccessful() ? "valid   " : "INVALID ") + file);
        for (SingleValidationMessage finding : result.getMessages()) {
            if (finding.getSeverity().compareTo(ResultSeverityEnum.WARNING) >= 0) {
                System.out.printf("    %s at %s: %s%n",
                        finding.getSeverity().getCode(), finding.getLocationString(), finding.getMessage());
            }
        }
        return result.isSuccessful();
    }

    /** Every .json file of the folder: a definition, or a Bundle of definitions. */
    private static void readProfiles(Path folder, PrePopulatedValidationSupport profiles) throws IOException {
        IParser parser = R4.newJsonParser();
        try (Stream<Path> found = Files.list(folder)) {
            for (Path file : found.filter(path -> path.toString().endsWith(".json")).sorted().toList()) {
                IBaseResource resource = parser.parseResource(Files.readString(file));
                if (resource instanceof Bundle bundle) {
                    bundle.getEntry().forEach(entry -> profiles.addResource(entry.getResource()));
                } else {
                    profiles.addResource(resource);
                }
            }
        }
    }
}
